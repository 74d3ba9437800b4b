// Measures Signalbox beside bare floors in the same run, and prints one JSON line for each figure: both medians and
// spreads, their ratio, the bar and the stretch of the design. `node bench/run.mjs push,polls` measures these only;
// `--smoke` runs each small, and keeps nothing.
import { appendFileSync, mkdirSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { here, sleep, smoke } from './lib.mjs'

const cases = [
  'push',
  'plugins',
  'export',
  'lives',
  'life',
  'polls',
  'patches',
  'intake',
  'memory',
  'reconnect',
  'claim',
  'history',
  'cancel',
  'compile',
  'large',
  'home',
  'page',
  'sim',
  'artifacts',
]
const wanted =
  process.argv
    .slice(2)
    .find((argument) => argument !== '--smoke')
    ?.split(',') ?? cases
const history = path.join(here, 'history')
const file = path.join(history, `${new Date().toISOString().slice(0, 10)}.jsonl`)

/** A side spreads too widely for its ratio to count. */
const widest = 0.25
const spread = ({ median, min, max }) => Math.max(max - median, median - min) / median
const round = (value) => (Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3)))
const rounded = (side) => side && Object.fromEntries(Object.entries(side).map(([key, value]) => [key, round(value)]))

for (const name of wanted) {
  if (!cases.includes(name)) throw new Error(`no case ${name}; there are ${cases.join(', ')}`)
  const { measure } = await import(`./cases/${name}.mjs`)
  for await (const { figure, unit, ours, floor, against, bar, stretch, better = 'less', note } of measure()) {
    const ratio = floor ? ours.median / floor.median : undefined
    const line = {
      at: new Date().toISOString(),
      figure,
      unit,
      ours: rounded(ours),
      against: against ?? null,
      floor: rounded(floor) ?? (against ? 'not measured' : null),
      ...(ratio === undefined ? {} : { ratio: round(ratio) }),
      ...(bar === undefined ? {} : { bar, stretch }),
      ...(bar === undefined || (floor === undefined && against)
        ? {}
        : verdict(ratio ?? ours.median, bar, stretch, better)),
      counts: [ours, floor].filter(Boolean).every((side) => spread(side) <= widest),
      ...(note ? { note } : {}),
      node: process.version,
      load: round(os.loadavg()[0]),
    }
    console.log(JSON.stringify(line))
    if (smoke) continue
    mkdirSync(history, { recursive: true })
    appendFileSync(file, `${JSON.stringify(line)}\n`)
  }
  if (!smoke) await sleep(500)
}

function verdict(value, bar, stretch, better) {
  const holds = (limit) => (better === 'less' ? value <= limit : value >= limit)
  return { meets: stretch !== undefined && holds(stretch) ? 'stretch' : holds(bar) ? 'bar' : 'nothing' }
}
