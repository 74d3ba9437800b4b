/** Rules for how a plugin comes in. */
import { must, type Rule } from './rule.js'

const unknownKey = 'zz-no-such-key'

export const startRules: readonly Rule[] = [
  {
    name: 'loads',
    asks: 'its module loads within 10 s, with the rights that its manifest asks for',
    weight: 'first',
    async keep({ subject }) {
      const { id } = await subject.load()
      return id
    },
  },
  {
    name: 'config-unknown-key',
    asks: 'its configuration refuses keys that it does not know, and names them',
    async keep({ fresh, config }) {
      const other = fresh()
      try {
        await other.load()
        const refusal = await other.configure({ ...config, [unknownKey]: 1 }).then(
          () => undefined,
          (error: Error) => error,
        )
        must(refusal !== undefined, `the key ${unknownKey} was taken`)
        must(refusal?.name === 'PluginConfigRefused', `config threw what is no PluginConfigError: ${refusal?.message}`)
        must(refusal?.message.includes(unknownKey) === true, `the refusal names no key: ${refusal?.message}`)
      } finally {
        await other.close()
      }
    },
  },
  {
    name: 'config',
    asks: 'its configuration takes what its manifest gives as an example (signalbox.example)',
    weight: 'first',
    async keep({ subject, config }) {
      await subject.configure(config)
      return Object.keys(config).length === 0 ? 'an empty one' : ''
    },
  },
  {
    name: 'setup',
    asks: 'its setup ends within 10 s, and attaches a hook of each kind that it names',
    weight: 'first',
    async keep({ subject }) {
      await subject.setUp()
      const names = subject.hookNames
      for (const kind of subject.facts?.kinds ?? []) {
        must(
          names.some((name) => name.startsWith(`${kind} `)),
          `it has no hook of kind ${kind}`,
        )
      }
      return names.join(', ')
    },
  },
]

const pingMs = 1000

export const endRules: readonly Rule[] = [
  {
    name: 'metrics',
    asks: 'no figure that it gave was dropped',
    async keep({ subject }) {
      // Figures come with the answer to each second's question.
      await new Promise((resolve) => setTimeout(resolve, 2 * pingMs))
      const { dropped } = subject.residence.metrics()
      must(dropped === 0, `${dropped} were not right, or one too many: names, labels and values have rules`)
    },
  },
  {
    name: 'memory',
    asks: 'its process stays below the memory that it may use',
    keep({ subject }) {
      const { residentBytes = 0, limitBytes = 0 } = subject.residence.process ?? {}
      must(residentBytes < limitBytes, 'it does not')
      return `${Math.round(residentBytes / 1024 / 1024)} MiB`
    },
  },
  {
    name: 'stays',
    asks: 'its process did not end by itself',
    keep: ({ subject }) => must(subject.ends.length === 0, subject.ends.join('; ')),
  },
  {
    name: 'closes',
    asks: 'its close ends within 2 s',
    keep: ({ subject }) => subject.close(),
  },
  {
    name: 'starts-again',
    asks: 'started anew, it attaches the same hooks',
    async keep({ fresh, config, subject }) {
      const other = fresh()
      try {
        await other.start(config)
        const [before, after] = [subject.hookNames.join(', '), other.hookNames.join(', ')]
        must(before === after, `it had ${before}, and has ${after} now`)
      } finally {
        await other.close()
      }
    },
  },
]
