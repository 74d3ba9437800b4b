import { it } from 'vitest'
import { type FailureReason, factsOf, failureReasons } from '../../../src/core/failure.js'
import { jobMachine, jobStatuses, statusSets, type Transition } from '../../../src/core/lifecycle/job-machine.js'
import { leaseMachine } from '../../../src/core/lifecycle/lease-machine.js'
import { expectKept } from '../../support/kept-file.js'

const edge = ({ event, from, to, guards }: Pick<Transition<string>, 'event' | 'from' | 'to' | 'guards'>): string[] =>
  from.map((status) => `  ${status} --> ${to} : ${event}${guards?.length ? ` [${guards.join(', ')}]` : ''}`)

const row = ({ event, from, to, guards }: Transition): string =>
  `| \`${event}\` | ${from.join(', ')} | ${to} | ${(guards ?? []).join(', ')} |`

const reasonRow = (reason: FailureReason): string => {
  const { sentence, fromRunner, autoRetry } = factsOf(reason)
  const retried = autoRetry === undefined ? '' : autoRetry === 0 ? 'never' : `${autoRetry} times`
  return `| \`${reason}\` | ${sentence} | ${fromRunner ? 'yes' : ''} | ${retried} |`
}

it('is kept in docs/lifecycle.md, drawn from the tables', () => {
  const document = `# The life of jobs and leases

This page is made from \`src/core/lifecycle\` (\`npm run kept\`); the same tables decide every change of status.

## Jobs

A job has one of ${jobStatuses.length} statuses. When several rows of an event fit, the first wins; an event in a status without a row is
refused and changes nothing. A retry is a new job: nothing leaves ${statusSets.finished.join(', ')}.

\`\`\`mermaid
stateDiagram-v2
  [*] --> created
${jobMachine.flatMap(edge).join('\n')}
\`\`\`

| Event | From | To | If |
| --- | --- | --- | --- |
${jobMachine.map(row).join('\n')}

| Set | Statuses |
| --- | --- |
${Object.entries(statusSets)
  .map(([name, statuses]) => `| ${name} | ${statuses.join(', ')} |`)
  .join('\n')}

## Leases

While a lease is offered its job is pending, but out of the queue; while it is held the job is running or canceling.

\`\`\`mermaid
stateDiagram-v2
  [*] --> offered
${leaseMachine.flatMap((one) => edge(one as never)).join('\n')}
\`\`\`

## Why jobs fail

A failed job has one of these reasons (\`failure_reason\`). A runner may report those that are marked; the server sets the
others. *Retried*: by itself, when the job's \`retry\` asks for it; never, or so often even without it, where the table says so.

| Reason | In words | By a runner | Retried |
| --- | --- | --- | --- |
${(Object.keys(failureReasons) as FailureReason[]).map(reasonRow).join('\n')}
`
  expectKept('docs/lifecycle.md', document)
})
