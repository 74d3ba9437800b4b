/** The configurations of simulated projects: between them they use what moves jobs in different ways. */
const job = { script: 'true' }

export const scripts: readonly Readonly<Record<string, object>>[] = [
  { one: job },
  {
    stages: ['a', 'b', 'c'],
    a1: { ...job, stage: 'a', retry: 1 },
    a2: { ...job, stage: 'a', allow_failure: true },
    b1: { ...job, stage: 'b', needs: ['a1'] },
    b2: { ...job, stage: 'b', when: 'on_failure' },
    c1: { ...job, stage: 'c', when: 'always' },
  },
  {
    stages: ['a', 'b'],
    m: { ...job, stage: 'a', when: 'manual' },
    gate: { ...job, stage: 'a', when: 'manual', allow_failure: false },
    p: { ...job, stage: 'a', parallel: 2, tags: ['t'] },
    late: { ...job, stage: 'b', when: 'delayed', start_in: '20 seconds' },
    end: { ...job, stage: 'b' },
  },
  {
    stages: ['a', 'b'],
    wide: { ...job, stage: 'a', parallel: 3 },
    may: { ...job, stage: 'a', allow_failure: true },
    early: { ...job, stage: 'b', needs: ['may'] },
    late: { ...job, stage: 'b' },
  },
  {
    stages: ['build', 'deploy'],
    build: { ...job, stage: 'build' },
    deploy: { ...job, stage: 'deploy', resource_group: 'production' },
    check: { ...job, stage: 'deploy', resource_group: 'production' },
  },
  {
    first: { ...job, retry: { max: 2, when: ['runner_system_failure', 'script_failure'] } },
    second: { ...job, needs: ['first'], tags: ['t'] },
  },
  {
    child: { trigger: { include: 'child.yml', strategy: 'depend' } },
    beside: job,
  },
  {
    workflow: { auto_cancel: { on_new_commit: 'interruptible', on_job_failure: 'all' } },
    quick: { ...job, interruptible: true },
    other: { ...job, interruptible: true },
    third: { ...job, parallel: 2 },
  },
]

export const childScript = { inner: job, after: { ...job, needs: ['inner'] } }
