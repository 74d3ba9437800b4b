/** Rules for classifiers, admission rules and exporters. */
import { asAdmission, asNothing, asScrape, asVerdict } from '../answers.js'
import type { AdmissionRequest, Evidence, ExportedEvent } from '../sdk.js'
import { recordedEvents } from '../testing/recorded-events.js'
import { admissionRequest, evidence, recordedEvidence } from '../testing/recorded-inputs.js'
import { type Checked, must, type Rule } from './rule.js'
import { ask } from './subject.js'

const deadlineMs = 2000
const admissionMs = 500
const tailLength = 64 * 1024

/** Logs that an unlucky expression takes hours for, and such as no author has thought of. */
const oddTails: Record<string, string> = {
  'a long line': 'a'.repeat(tailLength),
  'many empty lines': '\n'.repeat(tailLength),
  'many spaces': `${' '.repeat(tailLength - 1)}!`,
  'many words': 'error: '.repeat(tailLength / 8),
  'control characters': '\u001b[31m\u0000\u0007\r\u001b[0K\udc00\n',
}

async function each<T extends object>(inputs: Record<string, T>, of: (input: T) => Promise<unknown>): Promise<void> {
  for (const [name, input] of Object.entries(inputs)) {
    await of(input).catch((error: Error) => {
      throw new Error(`${name}: ${error.message}`)
    })
  }
}

const classified = ({ subject }: Checked) => {
  return async (given: Evidence) => {
    for (const { hook } of subject.hooks.classifiers) await ask(deadlineMs, () => hook(given), asVerdict)
  }
}

const admitted = ({ subject }: Checked) => {
  return async (given: AdmissionRequest) => {
    for (const { hook } of subject.hooks.admissions) await ask(admissionMs, () => hook(given), asAdmission)
  }
}

const handedOver = ({ subject }: Checked) => {
  return async (events: ExportedEvent[]) => {
    for (const { hook } of subject.hooks.exporters) await ask(deadlineMs, () => hook.onEvents?.(events), asNothing)
  }
}

export const hookRules: readonly Rule[] = [
  {
    name: 'classifier-answers',
    asks: 'each failure gets a verdict or nothing within 2 s',
    kind: 'classifier',
    keep: (checked) => each(recordedEvidence(), classified(checked)),
  },
  {
    name: 'classifier-odd-logs',
    asks: 'no log of 64 KiB takes it longer than that',
    kind: 'classifier',
    keep(checked) {
      const odd = Object.entries(oddTails).map(([name, traceTail]) => [name, evidence({ traceTail })] as const)
      return each(Object.fromEntries(odd), classified(checked))
    },
  },
  {
    name: 'admission-answers',
    asks: 'each job is admitted, refused or held within 500 ms, with a reason',
    kind: 'admission',
    keep: (checked) =>
      each(
        {
          'a job': admissionRequest(),
          'a job with tags': admissionRequest({ job: { tags: ['deploy', 'production'], protected: false } }),
          'a job of an odd ref': admissionRequest({ job: { ref: 'ünï/🚦-1.0', name: 'deploy: [a, b]' } }),
          'a job by night': admissionRequest({ now: Date.UTC(2027, 0, 1) }),
          'a job on a project’s runner': admissionRequest({ runner: { type: 'project', tags: ['mine'] } }),
          'a busy day': admissionRequest({ running: { all: 100_000, project: 5000 } }),
        },
        admitted(checked),
      ),
  },
  {
    name: 'admission-at-once',
    asks: 'a hundred jobs at once get their answers within that time too',
    kind: 'admission',
    async keep(checked) {
      const jobs = Array.from({ length: 100 }, (_, id) => admissionRequest({ job: { id } }))
      await Promise.all(jobs.map(admitted(checked)))
    },
  },
  {
    name: 'exporter-takes',
    asks: 'a batch of events is taken within 2 s',
    kind: 'exporter',
    keep: (checked) => handedOver(checked)(recordedEvents()),
  },
  {
    name: 'exporter-again',
    asks: 'events that come again are taken again: at least once means so',
    kind: 'exporter',
    keep: (checked) => handedOver(checked)(recordedEvents()),
  },
  {
    name: 'exporter-unknown-kinds',
    asks: 'kinds and fields of events that it does not know are left alone',
    kind: 'exporter',
    keep(checked) {
      const [first] = recordedEvents()
      const event = { ...(first as ExportedEvent), id: 1000, kind: 'teapot.brewed', projectId: null, data: { cups: 2 } }
      return handedOver(checked)([event])
    },
  },
  {
    name: 'exporter-many',
    asks: 'a full batch of 500 is taken within 2 s',
    kind: 'exporter',
    keep(checked) {
      const some = recordedEvents()
      const many = Array.from({ length: 500 }, (_, at) => ({ ...some[at % some.length], id: 2000 + at }))
      return handedOver(checked)(many as ExportedEvent[])
    },
  },
  {
    name: 'exporter-page',
    asks: 'the page for /metrics, where it makes one, is a text with its type',
    kind: 'exporter',
    async keep({ subject }) {
      const gauge = { name: 'signalbox_streams', help: 'Open streams.', values: [{ labels: {}, value: 2 }] }
      const pages = subject.hooks.exporters.filter(({ hook }) => hook.scrape)
      for (const { hook } of pages) {
        const page = await ask(deadlineMs, () => hook.scrape?.([gauge], ''), asScrape)
        must(page.contentType.includes('/'), `its type is ${page.contentType}`)
      }
      return pages.length === 0 ? 'it makes none' : ''
    },
  },
]
