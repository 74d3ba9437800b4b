/** `parallel:matrix`, and `needs` that points into it. */
import {
  boolean,
  checked,
  either,
  entries,
  flattened,
  keyword,
  list,
  mapped,
  type Report,
  record,
  required,
  type Shape,
  text,
  type ValueOf,
} from '../shape.js'

const matrixValue = text({ scalar: 'integer' })

/** The keyword `parallel:matrix`: https://docs.gitlab.com/ci/yaml/#parallelmatrix */
export const matrix = list(
  checked(
    entries(
      either(
        mapped(matrixValue, (one) => [one]),
        list(matrixValue, { min: 1 }),
      ),
      { says: 'must be a string, an integer or a list of them' },
    ),
    (map, report) => {
      if (map.size === 0) report('must have at least one variable')
    },
  ),
)

/** Lists of values by variable; the jobs are all their combinations. */
export type Matrix = ValueOf<typeof matrix>

/** An entry of `needs`. */
export type Need =
  | { kind: 'job'; job: string; artifacts: boolean; optional: boolean; matrix?: Matrix }
  /** On another pipeline or project, as written. */
  | { kind: 'cross'; written: Record<string, unknown> }
  /** Mirrors the status of another project's pipeline; in trigger jobs only. */
  | { kind: 'bridge'; pipeline: string }

const keys = {
  job: keyword(text({ filled: true }), 'The job that is needed.'),
  artifacts: keyword(boolean(), 'Whether its artifacts are fetched.'),
  optional: keyword(boolean(), 'Whether it may be absent from the pipeline.'),
  parallel: keyword(
    record({ matrix: required(matrix, 'The instances that are needed.') }),
    'Which instances of a matrix job are needed.',
  ),
}

const crossKeys = {
  pipeline: keyword(text({ filled: true }), 'The pipeline, usually $PARENT_PIPELINE_ID.'),
  project: keyword(text({ filled: true }), 'The project that holds the job.'),
  ref: keyword(text({ filled: true }), 'The ref of that project.'),
}

const jobName = mapped(text({ filled: true }), (job): Need => ({ kind: 'job', job, artifacts: true, optional: false }))

const needMap = mapped(record({ ...keys, ...crossKeys }), (value, report): Need => {
  const { job, artifacts, optional, parallel, pipeline, project, ref } = value
  if (project !== undefined) {
    requireKeys(value, ['job', 'ref', 'artifacts'], report)
    refuseKeys(value, ['pipeline', 'parallel'], report)
    return { kind: 'cross', written: { project, job, ref, artifacts, ...(optional === undefined ? {} : { optional }) } }
  }
  if (ref !== undefined) report('unknown keys: ref (it goes with project)', 'ref')
  if (pipeline !== undefined && job === undefined) {
    refuseKeys(value, ['artifacts', 'optional', 'parallel'], report)
    return { kind: 'bridge', pipeline }
  }
  if (pipeline !== undefined) {
    refuseKeys(value, ['parallel'], report)
    const written = { pipeline, job, artifacts: artifacts ?? true, ...(optional === undefined ? {} : { optional }) }
    return { kind: 'cross', written }
  }
  if (job === undefined) report("job can't be blank")
  const need = { kind: 'job' as const, job: job ?? '', artifacts: artifacts ?? true, optional: optional ?? false }
  return parallel === undefined ? need : { ...need, matrix: parallel.matrix }
})

function requireKeys(value: Record<string, unknown>, names: string[], report: Report): void {
  const missing = names.filter((name) => value[name] === undefined)
  if (missing.length > 0) report(`the keys ${missing.join(', ')} are required with project`)
}

function refuseKeys(value: Record<string, unknown>, names: string[], report: Report): void {
  const odd = names.filter((name) => value[name] !== undefined)
  if (odd.length > 0) report(`unknown keys: ${odd.join(', ')} in a need on another pipeline`, odd[0])
}

/** The keyword `needs`: https://docs.gitlab.com/ci/yaml/#needs */
export const needs: Shape<Need[]> = {
  ...either(
    list(either(jobName, needMap), { ...flattened, says: 'a list of jobs' }),
    mapped(needMap, (one) => [one]),
  ),
  expects: 'a list of jobs, or a map with one',
}

const sameNeed = mapped(record(keys), ({ job, artifacts, optional, parallel }, report): Need => {
  if (job === undefined) report("job can't be blank")
  const need = { kind: 'job' as const, job: job ?? '', artifacts: artifacts ?? true, optional: optional ?? false }
  return parallel === undefined ? need : { ...need, matrix: parallel.matrix }
})

/** Needs inside the same pipeline: all that `rules:needs` takes. */
export const sameNeeds = list(either(jobName, sameNeed), { ...flattened, says: 'a list of jobs' })
