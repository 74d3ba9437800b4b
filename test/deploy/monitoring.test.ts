/** Dashboard and rules of `deploy/monitoring` ask for metrics that there are, and each alert has its page. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { runnerMetrics } from '../../src/runner/metrics/runner-metrics.js'
import { Coordinator } from '../support/processes.js'

interface Rule {
  record?: string
  alert?: string
  expr: string
  annotations?: { runbook: string; summary: string }
}

const folder = 'deploy/monitoring'
const rules = (parse(readFileSync(`${folder}/rules.yml`, 'utf8')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  (group) => group.rules,
)
const dashboard = JSON.parse(readFileSync(`${folder}/dashboard.json`, 'utf8')) as {
  panels: { id: number; title: string; targets?: { expr: string }[] }[]
}
const queries = [
  ...rules.map(({ record, alert, expr }) => ({ of: record ?? alert ?? '', expr })),
  ...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ of: title, expr }))),
]

/** Names of metrics in a query; functions, labels and numbers are not of these forms. */
const namesIn = (expr: string) =>
  expr
    .replace(/\{[^}]*\}|\bby \([^)]*\)/g, '')
    .match(/\b(?:signalbox|gitlab|job|process)_[a-z_]+|\bsignalbox:[a-z0-9_:]+|\bup\b/g) ?? []

it('ask for nothing that is not there', async () => {
  await using box = await Coordinator.start()
  const own = { token: 'glrt-x', name: 'x', systemId: 's_1', executor: 'shell', concurrency: 1, queuingDurations: [] }
  const pages = [await (await fetch(`${box.url}/metrics`)).text(), (await runnerMetrics(own).page()).body]
  const families = new Map(
    pages.flatMap((page) => [...page.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name!, type!])),
  )
  const known = new Set([
    'up',
    ...rules.flatMap(({ record }) => record ?? []),
    ...[...families].flatMap(([name, type]) =>
      type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    ),
  ])
  expect(queries.length).toBeGreaterThan(30)
  for (const { of, expr } of queries) {
    const names = namesIn(expr)
    expect(names, `${of} asks for nothing`).not.toEqual([])
    expect(
      names.filter((name) => !known.has(name)),
      of,
    ).toEqual([])
  }
})

it('have a page of docs/runbooks for each alert, and no other', () => {
  const alerts = rules.flatMap(({ alert }) => alert ?? [])
  expect(readdirSync('docs/runbooks').sort()).toEqual(alerts.map((name) => `${name}.md`).sort())
  const index = readFileSync('docs/monitoring.md', 'utf8')
  for (const { alert, annotations, expr } of rules.filter((rule) => rule.alert !== undefined)) {
    expect(existsSync(annotations!.runbook), annotations!.runbook).toBe(true)
    expect(annotations!.summary).not.toBe('')
    expect(readFileSync(annotations!.runbook, 'utf8')).toContain(`    ${expr}\n`)
    expect(index).toContain(`[${alert}](runbooks/${alert}.md)`)
  }
})

it('give each panel an id and a place of its own', () => {
  const ids = dashboard.panels.map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
})
