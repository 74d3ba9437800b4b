/** Rules for executors: what they say they can, and how they run, end and clear away a script. */
import { asCapabilities, asNothing, asPrepareResult, asRunResult } from '../answers.js'
import type { Named } from '../scope.js'
import type { Executor, ExecutorRunner, RunResult } from '../sdk.js'
import { executorFacts, prepareInput } from '../testing/recorded-inputs.js'
import { type Checked, must, type Rule } from './rule.js'
import { ask } from './subject.js'

const capabilitiesMs = 2000
/** Scripts of the suite are short. */
const scriptMs = 30_000
const lines = 5000

/** A job of the plugin's own half beside the runner. */
interface Job {
  runner: ExecutorRunner
  session: string
  run: (script: string, onOutput?: (soFar: string) => void) => Promise<RunResult & { output: string }>
}

/** Prepares a job of each executor, has `act` use it, and clears it away. */
async function withJobs(
  { subject, scratch }: Checked,
  name: string,
  act: (job: Job) => Promise<void>,
): Promise<string> {
  const here = subject.hooks.executors.filter(hasRunner)
  for (const one of here) {
    const { runner } = one.hook
    const session = `check-${name}-${one.name}`
    const folders = { build: scratch.make(`${session}/build`), temp: scratch.make(`${session}/temp`) }
    const none = async () => undefined
    const prepared = await ask(scriptMs, () => runner.prepare(prepareInput(session, folders), none), asPrepareResult)
    if ('failure' in prepared) throw new Error(`a job without image was not prepared: ${prepared.failure.message}`)
    const run: Job['run'] = async (script, onOutput) => {
      let output = ''
      const take = async (chunk: Uint8Array) => {
        output += Buffer.from(chunk).toString('latin1')
        onOutput?.(output)
      }
      const env = { CI: 'true', CHECKED: name }
      const input = { session, stage: 'step_script', script, env, cwd: folders.build }
      return { ...(await ask(scriptMs, () => runner.run(input, take), asRunResult)), output }
    }
    try {
      await act({ runner, session, run })
    } finally {
      await ask(scriptMs, () => runner.cleanUp({ session }), asNothing)
    }
  }
  return here.length === 0 ? 'it has no half beside the runner' : ''
}

function hasRunner(one: Named<Executor>): one is Named<Executor & { runner: ExecutorRunner }> {
  return one.hook.runner !== undefined
}

function mustEnd({ exitCode, signal }: RunResult, wanted: number | null): void {
  must(exitCode === wanted, `a script that ends with ${wanted} ended with ${exitCode ?? signal}`)
}

export const executorRules: readonly Rule[] = [
  {
    name: 'executor-capabilities',
    asks: 'it names its features within 2 s, and the same ones for the same facts',
    kind: 'executor',
    async keep({ subject }) {
      for (const { name, hook } of subject.hooks.executors) {
        const features = () => ask(capabilitiesMs, () => hook.capabilities(executorFacts(name)), asCapabilities)
        const [first, second] = [await features(), await features()]
        must(first.join() === second.join(), `it named ${first.join(', ')}, and then ${second.join(', ')}`)
      }
    },
  },
  {
    name: 'executor-exit-codes',
    asks: 'a script’s exit code is told as it is',
    kind: 'executor',
    keep: (checked) =>
      withJobs(checked, 'exit', async ({ run }) => {
        mustEnd(await run('true\n'), 0)
        mustEnd(await run('exit 3\n'), 3)
      }),
  },
  {
    name: 'executor-environment',
    asks: 'a script begins in its folder, with its variables',
    kind: 'executor',
    keep: (checked) =>
      withJobs(checked, 'environment', async ({ run }) => {
        const { output } = await run('echo "$CHECKED in $(pwd)" && : > made-here && ls\n')
        must(output.includes('environment in '), `its variables are not there: ${output}`)
        must(output.includes('made-here'), 'it cannot write in its folder')
      }),
  },
  {
    name: 'executor-output',
    asks: 'all that a script writes arrives, in order, and before its end is told',
    kind: 'executor',
    keep: (checked) =>
      withJobs(checked, 'output', async ({ run }) => {
        const { output } = await run(
          `i=0; while [ $i -lt ${lines} ]; do echo "line $i"; i=$((i+1)); done; echo oops >&2\n`,
        )
        const told = output.split('\n').filter((line) => line.startsWith('line '))
        must(told.length === lines, `of ${lines} lines ${told.length} arrived`)
        must(
          told.every((line, at) => line === `line ${at}`),
          'lines arrived out of order',
        )
        must(output.includes('oops'), 'what it writes as an error is missing')
      }),
  },
  {
    name: 'executor-cancel',
    asks: 'a script that will not end is ended by force, with what it has started',
    kind: 'executor',
    keep: (checked) =>
      withJobs(checked, 'cancel', async ({ runner, session, run }) => {
        let begun: () => void = () => undefined
        const begins = new Promise<void>((resolve) => {
          begun = resolve
        })
        const running = run(`trap '' TERM; sleep 600 & echo begun; wait; sleep 600\n`, (soFar) => {
          if (soFar.includes('begun')) begun()
        })
        await Promise.race([begins, running])
        await ask(scriptMs, () => runner.cancel({ session, graceMs: 0 }), asNothing)
        const { exitCode } = await running
        must(exitCode !== 0, 'it ended as if all had been well')
      }),
  },
  {
    name: 'executor-clean-up',
    asks: 'clearing away may come twice, and for a job of a process that has died',
    kind: 'executor',
    keep: (checked) =>
      withJobs(checked, 'clean-up', async ({ runner, session }) => {
        for (const each of [session, 'check-never-seen']) {
          await ask(scriptMs, () => runner.cleanUp({ session: each }), asNothing)
        }
      }),
  },
]
