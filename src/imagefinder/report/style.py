"""How a report looks: light and dark, on a wide screen, a phone and paper."""

STYLE = """
  :root {
    color-scheme: light dark;
    --page: #f6f7f9; --card: #fff; --ink: #16181d; --soft: #5b6472; --line: #e3e6eb;
    --accent: #0d9488; --good: #0d9488; --bad: #d6453d;
    --shadow: 0 1px 2px #1018280d, 0 6px 16px -8px #10182826;
  }
  @media (prefers-color-scheme: dark) {
    :root {
      --page: #101215; --card: #1a1d22; --ink: #eceef2; --soft: #a3abb9; --line: #2b3038;
      --accent: #2dd4bf; --good: #2dd4bf; --bad: #ff7b72; --shadow: none;
    }
  }
  * { box-sizing: border-box }
  body { margin: 0 auto; max-width: 76rem; padding: 2.5rem 1.25rem 4rem; background: var(--page);
    color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
  h1 { font-size: 1.9rem; line-height: 1.2; letter-spacing: -.02em; margin: 0 0 .4rem;
    overflow-wrap: anywhere }
  h2 { font-size: 1.2rem; letter-spacing: -.01em; margin: 0 0 .9rem }
  h3 { font-size: .95rem; margin: 0 0 .6rem }
  p { margin: 0; max-width: 46rem; overflow-wrap: anywhere }
  header p, .soft { color: var(--soft) }
  nav { display: flex; flex-wrap: wrap; gap: .4rem; margin: 1.2rem 0 0 }
  nav a { color: var(--soft); text-decoration: none; border: 1px solid var(--line);
    border-radius: 1rem; padding: .1rem .75rem; background: var(--card) }
  nav a:hover, nav a:focus-visible { color: var(--ink); border-color: var(--accent) }
  section { margin-top: 2.5rem; display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr);
    scroll-margin-top: 1rem }
  section h2 { margin-bottom: 0 }
  .card { margin: 0; padding: 1.1rem 1.25rem 1.2rem; background: var(--card); min-width: 0;
    border: 1px solid var(--line); border-radius: .75rem; box-shadow: var(--shadow) }
  .card > p, figcaption { color: var(--soft); font-size: .875rem; margin-top: .6rem }
  .beside { display: grid; gap: 1rem;
    grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)) }
  .facts { display: grid; gap: 1px; margin: 0; overflow: hidden; background: var(--line);
    border: 1px solid var(--line); border-radius: .75rem; box-shadow: var(--shadow);
    grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)) }
  .facts div { display: flex; flex-direction: column-reverse; justify-content: flex-end;
    padding: .9rem 1.1rem; background: var(--card) }
  .facts dt { color: var(--soft); font-size: .85rem }
  .facts dd { margin: 0; font-size: 1.5rem; line-height: 1.25; font-weight: 600;
    letter-spacing: -.02em; overflow-wrap: anywhere; font-variant-numeric: tabular-nums }
  .scroll { overflow-x: auto; margin: 0 -1.25rem; padding: 0 1.25rem }
  table { border-collapse: collapse; min-width: min(100%, 28rem) }
  th, td { padding: .4rem 1.6rem .4rem 0; text-align: left; vertical-align: top;
    border-bottom: 1px solid var(--line) }
  th:last-child, td:last-child { padding-right: 0 }
  th { color: var(--soft); font-weight: 500; font-size: .85rem; white-space: nowrap }
  tbody tr:last-child td { border-bottom: 0 }
  td { overflow-wrap: anywhere; min-width: 4rem }
  .right { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
  .plot svg { display: block; width: 100%; max-width: 38rem; height: auto; margin: 0 auto;
    overflow: visible }
  .plot svg text { font-family: system-ui, sans-serif !important }
  .strip { display: grid; gap: .75rem;
    grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)) }
  .strip figure { margin: 0; min-width: 0 }
  .strip .frame { position: relative; display: grid; place-items: center; aspect-ratio: 1;
    overflow: hidden; border-radius: .5rem; background: var(--page) }
  .strip img { position: absolute; width: 100%; height: 100%; object-fit: contain }
  .strip .good .frame { border: 3px solid var(--good) }
  .strip .bad .frame { border: 3px dashed var(--bad) }
  .strip .query .frame { border: 3px solid var(--ink) }
  .strip figcaption { margin-top: .3rem; font-size: .78rem; line-height: 1.35;
    overflow-wrap: anywhere; display: -webkit-box; -webkit-box-orient: vertical;
    -webkit-line-clamp: 3; overflow: hidden }
  .strip .missing { color: var(--soft); font-size: .78rem; padding: .5rem; text-align: center }
  .map { position: relative; aspect-ratio: 1; max-width: 56rem; margin: 0 auto }
  .map img { position: absolute; translate: -50% -50%; width: 5.6%; aspect-ratio: 1;
    object-fit: contain }
  .swatches { display: flex; overflow: hidden; border-radius: .5rem; height: 4.5rem;
    border: 1px solid var(--line) }
  .swatches i { min-width: 2px }
  footer { margin-top: 3rem; color: var(--soft); font-size: .85rem }
  .beside .strip { grid-template-columns: repeat(auto-fill, minmax(5rem, 1fr)); gap: .5rem }
  @media (max-width: 40rem) {
    body { padding: 1.5rem 1rem 3rem }
    .card { padding: .9rem 1rem 1rem }
    .scroll { margin: 0 -1rem; padding: 0 1rem }
    .strip { grid-template-columns: repeat(auto-fill, minmax(5.5rem, 1fr)); gap: .6rem }
    .facts { grid-template-columns: repeat(2, 1fr) }
    .facts dd { font-size: 1.25rem }
    .facts div:last-child:nth-child(odd) { grid-column: 1 / -1 }
  }
  @media print {
    body { padding: 0; background: none }
    nav { display: none }
    .card, .facts { box-shadow: none; break-inside: avoid }
  }
"""
