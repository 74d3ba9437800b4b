/** The form that runs a pipeline by hand: with the inputs and variables that its file asks for, and others. */

import { useEffect, useState } from 'preact/hooks'
import { useLocation } from 'preact-iso'
import { apart, fieldOf } from '../apart.js'
import { ask, own } from '../api.js'
import { type Field, Input } from '../parts/form.js'
import { hrefs } from '../places.js'
import type { PipelineRow, Project } from '../types.js'

interface Offer {
  inputs: {
    name: string
    type: string
    description: string
    default: unknown
    options: unknown[]
    regex: string | null
  }[]
  variables: { key: string; value: string; description: string; options?: string[] }[]
}

/** The variables of lines of `NAME=value`. Throws for a line that is none. */
export function variablesOf(text: string): { key: string; value: string }[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, key, value] = /^\s*([A-Za-z_]\w*)=(.*)$/.exec(line) ?? []
      if (key === undefined) throw new Error(`“${line.trim()}” is not NAME=value`)
      return { key, value: value ?? '' }
    })
}

const textOf = (value: unknown) =>
  value === null || value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value)

/** An input as a field; its name cannot be taken for another field's. */
export function fieldOfInput(input: Offer['inputs'][number]): Field {
  const { name, type, description, options, regex } = input
  const wanted = input.default === null
  return {
    name: `input ${name}`,
    label: `${name}${wanted ? ' (must be given)' : ''}`,
    required: wanted && type !== 'boolean',
    hint: [description, regex ? `like ${regex}` : '', type === 'array' ? 'a list as JSON: ["a", "b"]' : '']
      .filter(Boolean)
      .join('; '),
    ...(type === 'boolean'
      ? { kind: 'check', value: input.default === true }
      : { kind: type === 'number' ? 'number' : 'text', value: textOf(input.default) }),
    ...(options.length > 0 ? { options: options.map(textOf) } : {}),
  }
}

/** What was given for the inputs, by their types. Throws for a list that is none. */
export function inputsOf(offers: Offer['inputs'], form: FormData): Record<string, unknown> {
  const values: Record<string, unknown> = {}
  for (const { name, type } of offers) {
    const text = fieldOf(form, `input ${name}`)
    if (type === 'boolean') values[name] = text === 'on'
    else if (text !== '') values[name] = type === 'number' ? Number(text) : type === 'array' ? listOf(name, text) : text
  }
  return values
}

function listOf(name: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error(`${name} is not a list as JSON, such as ["a", "b"]`)
  }
}

/** The form; whoever sends it is taken to the pipeline. */
export function RunPipeline({ project }: { project: Project }) {
  const { route } = useLocation()
  const [ref, setRef] = useState(project.default_branch)
  const [offer, setOffer] = useState<Offer>()
  const [refusal, setRefusal] = useState('')
  useEffect(() => {
    const stop = new AbortController()
    const load = async () => {
      try {
        setOffer(
          await ask<Offer>(`${own}/projects/${project.id}/run-form?ref=${encodeURIComponent(ref)}`, {
            signal: stop.signal,
          }),
        )
        setRefusal('')
      } catch (error) {
        if (stop.signal.aborted) return
        setOffer({ inputs: [], variables: [] })
        setRefusal((error as Error).message)
      }
    }
    const timer = setTimeout(() => apart(load()), 200)
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [project.id, ref])
  const run = async (form: FormData) => {
    setRefusal('')
    try {
      const described = (offer?.variables ?? []).map(({ key }) => ({ key, value: fieldOf(form, `variable ${key}`) }))
      const inputs = inputsOf(offer?.inputs ?? [], form)
      const body = {
        ref,
        variables: [...described, ...variablesOf(fieldOf(form, 'variables'))],
        ...(Object.keys(inputs).length > 0 ? { inputs } : {}),
      }
      const made = await ask<PipelineRow>(`/api/v4/projects/${project.id}/pipeline`, { method: 'POST', body })
      route(hrefs.pipeline(project.path_with_namespace, made.id))
    } catch (error) {
      setRefusal((error as Error).message)
    }
  }
  return (
    <form
      class="panel"
      aria-label="Run a pipeline"
      onSubmit={(event) => {
        event.preventDefault()
        apart(run(new FormData(event.currentTarget)))
      }}
    >
      <label>
        Branch or tag
        <input name="ref" required value={ref} onChange={(event) => setRef(event.currentTarget.value.trim())} />
      </label>
      {offer?.inputs.map((input) => (
        <Input key={input.name} field={fieldOfInput(input)} />
      ))}
      {offer?.variables.map(({ key, value, description, options }) => (
        <Input
          key={key}
          field={{ name: `variable ${key}`, label: key, hint: description, value, ...(options ? { options } : {}) }}
        />
      ))}
      <label>
        {offer?.variables.length ? 'Other variables' : 'Variables'}, one a line: NAME=value
        <textarea name="variables" rows={3} class="code" />
      </label>
      {refusal && (
        <p class="refused" role="alert">
          {refusal}
        </p>
      )}
      <button type="submit" class="main">
        Run
      </button>
    </form>
  )
}
