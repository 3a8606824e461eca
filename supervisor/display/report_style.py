"""The style of the page of `report --html`: light and dark, narrow and wide, on screen and on paper."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #fbfbf9; --panel: #fff; --ink: #1d2327; --soft: #5d676f; --line: #dcdfe2;
  --ready: #3a9a78; --down: #b3261e; --unknown: #a9b0b6; --idle: #e9ebed; --bar: #3b6ea8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14181b; --panel: #1c2125; --ink: #e7eaec; --soft: #a0abb3; --line: #343c42;
    --ready: #2f8466; --down: #ff6b5e; --unknown: #6b757d; --idle: #272d32; --bar: #6ea3dd;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 .6rem; }
p { margin: 0 0 .7rem; }
.period { color: var(--soft); }
.lead { font-size: 1.1rem; max-width: 52rem; }
section { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 1rem; margin: 1rem 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 1rem; }
.cards b { display: block; font-size: 1.45rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.cards span { color: var(--soft); font-size: .88rem; }
.legend { color: var(--soft); font-size: .88rem; }
.legend i { display: inline-block; width: .8rem; height: .8rem; margin-right: .15rem; vertical-align: -.08rem; }
.legend span { white-space: nowrap; margin-right: .7rem; }
i.ready { background: var(--ready); } i.down { background: var(--down); }
i.unknown { background: var(--unknown); } i.idle { background: var(--idle); }
rect.ready { fill: var(--ready); } rect.down { fill: var(--down); } rect.unknown { fill: var(--unknown); }
.strip { display: grid; grid-template-columns: 11rem 1fr 5.5rem; gap: .7rem; align-items: center; margin: .3rem 0; }
.strip svg { width: 100%; height: 1.5rem; display: block; background: var(--idle); border-radius: 2px; }
.name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.value { text-align: right; font-variant-numeric: tabular-nums; }
.strip .value { white-space: nowrap; }
.axis { display: flex; justify-content: space-between; color: var(--soft); font-size: .78rem; }
.bar { display: grid; grid-template-columns: 16rem 1fr 17rem; gap: .7rem; align-items: center; margin: .35rem 0; }
.bar i { display: block; height: 1rem; min-width: 2px; background: var(--bar); border-radius: 2px; }
.bar .value { text-align: left; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line); }
td { white-space: nowrap; font-variant-numeric: tabular-nums; }
th:first-child { text-align: left; overflow-wrap: anywhere; min-width: 8rem; font-weight: 500; }
thead th { color: var(--soft); font-weight: 500; }
thead th:first-child { color: var(--soft); }
details { margin-top: .8rem; } summary { cursor: pointer; color: var(--soft); }
.ratios { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 1rem; margin: 0; }
dt b { display: block; font-size: 1.2rem; font-variant-numeric: tabular-nums; }
dd { margin: .1rem 0 0; color: var(--soft); }
footer { color: var(--soft); font-size: .85rem; }
@media (max-width: 44rem) {
  .strip { grid-template-columns: 1fr auto; row-gap: .1rem; }
  .strip svg, .axis { grid-column: 1 / -1; grid-row: 2; }
  .bar { grid-template-columns: 1fr; gap: .1rem; margin: .6rem 0; }
}
@page { size: A4; margin: 14mm; }
@media print {
  :root {
    color-scheme: light;
    --ground: #fff; --panel: #fff; --ink: #000; --soft: #444; --line: #bbb;
    --ready: #3a9a78; --down: #b3261e; --unknown: #a9b0b6; --idle: #e9ebed; --bar: #3b6ea8;
  }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { font-size: 10pt; } main { padding: 0; max-width: none; }
  section { break-inside: auto; padding: .6rem 0; border-width: 1px 0 0; border-radius: 0; margin: .5rem 0; }
  .strip, .bar, tr, .cards, .ratios > div { break-inside: avoid; } h2 { break-after: avoid; }
  .bar { grid-template-columns: 15rem 1fr 15rem; }
}
"""
