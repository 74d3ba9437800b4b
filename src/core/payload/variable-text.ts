/** Variables as a runner gets them, and their JSON text, which is kept where many jobs have the same variable. */
import type { PlanVariable } from '../ci-config/variables.js'

/** The same as `JSON.stringify` of `variableFor`, at a third of its cost: a job has twenty variables of its own. */
export function textOf(one: PlanVariable, isPublic: boolean): string {
  const { masked = false, file = false, raw = false } = one
  const [key, value] = [JSON.stringify(one.key), JSON.stringify(one.value)]
  return `{"key":${key},"value":${value},"public":${isPublic},"masked":${masked},"file":${file},"raw":${raw}}`
}

/** Predefined variables are raw, so a job changes none of them. */
const textsOfAll = new WeakMap<readonly PlanVariable[], string>()

/** Returns a list of public variables as JSON text, without brackets. Kept as long as the list lives. */
export function textOfAll(list: readonly PlanVariable[]): string {
  let text = textsOfAll.get(list)
  if (text === undefined) {
    text = list.map((one) => textOnce(one, true)).join()
    textsOfAll.set(list, text)
  }
  return text
}

const around = new WeakMap<readonly PlanVariable[], { at: number; before: string; after: string }>()

/**
 * Returns the list with another variable at `at`, and keeps the text of all of it: it differs from that of `list` in this one.
 * For a list that others are made of again and again, in the same place.
 */
export function withAnother(list: readonly PlanVariable[], at: number, one: PlanVariable): PlanVariable[] {
  const made = list.with(at, one)
  let texts = around.get(list)
  if (texts?.at !== at) {
    const before = list.slice(0, at).map((other) => `${textOf(other, true)},`)
    const after = list.slice(at + 1).map((other) => `,${textOf(other, true)}`)
    texts = { at, before: before.join(''), after: after.join('') }
    around.set(list, texts)
  }
  textsOfAll.set(made, texts.before + textOf(one, true) + texts.after)
  return made
}

/** A pipeline's own variables serve all its jobs, most of them all pipelines of a commit: their texts are kept as long as the objects live. */
const texts = { public: new WeakMap<PlanVariable, string>(), hidden: new WeakMap<PlanVariable, string>() }

/** The same as `textOf`, kept as long as the variable lives. */
export function textOnce(one: PlanVariable, isPublic: boolean): string {
  const known = texts[isPublic ? 'public' : 'hidden']
  let text = known.get(one)
  if (text === undefined) {
    text = textOf(one, isPublic)
    known.set(one, text)
  }
  return text
}

/** Returns a variable in GitLab's shape. `isPublic`: services of the job get it too. */
export function variableFor(one: PlanVariable, isPublic: boolean): object {
  return {
    key: one.key,
    value: one.value,
    public: isPublic,
    masked: one.masked ?? false,
    file: one.file ?? false,
    raw: one.raw ?? false,
  }
}
