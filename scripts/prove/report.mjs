/** The report of a proof, as JSON for programs and as HTML for people. */
import { writeFileSync } from 'node:fs'

const escaped = (text) => String(text).replace(/[&<>]/g, (one) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[one])
const cells = (tag, list) => `<tr>${list.map((one) => `<${tag}>${escaped(one)}</${tag}>`).join('')}</tr>`

/** Writes `OUT.json` and `OUT.html`. */
export function writeReport(out, report) {
  writeFileSync(`${out}.json`, `${JSON.stringify(report, null, 2)}\n`)
  const rows = Object.values(report.promises).map(({ text, violations, controlFound }) =>
    cells('td', [
      text,
      violations.length === 0 ? 'holds' : violations.join('; '),
      controlFound ? 'found' : 'NOT FOUND',
    ]),
  )
  const kills = Object.entries(report.kills).map(([what, count]) => `${count} of a ${what}`)
  const jobs = Object.entries(report.jobs).map(([status, count]) => `${count} ${status}`)
  writeFileSync(
    `${out}.html`,
    `<!doctype html><html lang="en"><meta charset="utf-8"><title>Signalbox: proof</title>
<style>body{font:16px sans-serif;max-width:60em;margin:2em auto}td,th{border:1px solid #999;padding:.4em;text-align:left}table{border-collapse:collapse}</style>
<h1>Proof of ${escaped(report.at)}</h1>
<p>${report.pipelines} pipelines in ${report.seconds} s, seed ${report.seed}. Jobs: ${escaped(jobs.join(', '))}. Kills: ${escaped(kills.join(', '))}.</p>
<table>${cells('th', ['Promise', 'Outcome', 'Negative control'])}${rows.join('')}</table>
`,
  )
}
