"""One folder per kind of music that comes out; `audiogan.pipeline` states what each must offer."""
