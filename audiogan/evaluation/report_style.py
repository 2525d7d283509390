"""How the page of a report looks: light and dark, on a phone and on a wide screen, without a font of its own."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d2330; --soft: #566074; --line: #d9dde5; --paper: #ffffff; --card: #f6f7f9;
 --good: #17724a; --bad: #a8431a; --accent: #2457b3 }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ee; --soft: #a3adbd; --line: #3a414e; --paper: #14171c;
 --card: #1d2129; --good: #62c897; --bad: #f0a076; --accent: #8fb4f5 } }
* { box-sizing: border-box }
body { margin: 0; font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; color: var(--ink);
 background: var(--paper) }
main { max-width: 74rem; margin: 0 auto; padding: 1.5rem 1rem 4rem }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; overflow-wrap: anywhere }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .4rem; scroll-margin-top: 1rem }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem }
p { margin: .3rem 0 .8rem; max-width: 46rem }
.soft, small { color: var(--soft); font-size: .875rem }
.facts { overflow-wrap: anywhere }
a { color: var(--accent) }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; list-style: none; margin: 1rem 0 0; padding: 0 }
nav a { display: inline-block; padding: .2rem 0 }
.verdict { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .9rem 1.1rem;
 margin: .6rem 0 }
.verdict p { max-width: 62rem; margin: .45rem 0 }
.verdict p:first-child { font-weight: 600 }
.shelf { display: grid; gap: .9rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)) }
.pairs { grid-template-columns: 1fr 1fr }
.exhibit { margin: 0; padding: .8rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px;
 min-width: 0 }
.exhibit img { display: block; width: 100%; height: auto; border-radius: 4px; background: #fff }
.exhibit audio { display: block; width: 100%; height: 2.4rem; margin-top: .5rem }
.exhibit figcaption { margin-bottom: .45rem; overflow-wrap: anywhere }
.exhibit figcaption strong { display: block; font-weight: 600 }
.exhibit p { margin: .45rem 0 0 }
.legend span { white-space: nowrap; margin-right: .7rem }
.legend i { display: inline-block; width: .7rem; height: .7rem; border-radius: 2px; margin-right: .3rem }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 10px; margin: .6rem 0 }
table { border-collapse: collapse; width: 100%; font-size: .875rem }
caption { text-align: left; padding: .5rem .7rem; color: var(--soft) }
th, td { text-align: left; vertical-align: top; padding: .4rem .7rem; border-top: 1px solid var(--line) }
thead th { border-top: 0; color: var(--soft); font-weight: 600; white-space: nowrap }
tbody th { font-weight: 600 }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap }
td.of { min-width: 9rem }
.good { color: var(--good); font-weight: 600; white-space: nowrap }
.bad { color: var(--bad); font-weight: 600; white-space: nowrap }
.bar { display: block; width: 8rem; height: 1.1rem }
.bar line { stroke: var(--line); stroke-width: 2 }
.bar .none { fill: var(--soft) } .bar .good { fill: var(--good) } .bar .bad { fill: var(--bad) }
details { margin: .8rem 0 } summary { cursor: pointer; color: var(--accent); padding: .2rem 0 }
.curves { display: grid; gap: .9rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)) }
.curve { margin: 0; padding: .7rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px }
.curve figcaption { font-size: .875rem; overflow-wrap: anywhere } .curve svg { display: block; width: 100% }
.line { fill: none; stroke: var(--accent); stroke-width: 1.6; vector-effect: non-scaling-stroke }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .25rem 1rem; font-size: .875rem }
dt { color: var(--soft); overflow-wrap: anywhere } dd { margin: 0; overflow-wrap: anywhere; min-width: 0 }
@media (max-width: 34rem) { .pairs { grid-template-columns: 1fr } dl { grid-template-columns: 1fr }
 dd { margin-bottom: .4rem } }
"""
