/** A form as data: its fields, and where what was typed in goes. */
import { useId, useState } from 'preact/hooks'
import { apart, fieldOf, wholeFieldOf } from '../apart.js'
import { ask } from '../api.js'

export interface Field {
  name: string
  label: string
  kind?: 'text' | 'number' | 'check' | 'area' | 'password' | 'date'
  /** One of these; a pair is a value and what it is called. */
  options?: readonly (string | readonly [value: string | number, label: string])[]
  required?: boolean
  hint?: string
  value?: string | number | boolean | null
}

interface FormProps {
  fields: readonly Field[]
  path: string
  method?: 'POST' | 'PUT'
  label: string
  /** Where the API wants something else than the fields as they are. */
  toBody?: (values: Record<string, unknown>) => unknown
  onDone: (answer: unknown) => void
}

/** What the fields hold, by the types that the API has for them; empty fields are left out unless they held something. */
export function valuesOf(fields: readonly Field[], form: FormData): Record<string, unknown> {
  const values: Record<string, unknown> = {}
  for (const { name, kind, value, options } of fields) {
    const text = kind === 'area' ? wholeFieldOf(form, name) : fieldOf(form, name)
    const numeric = kind === 'number' || options?.some((one) => typeof one === 'object' && typeof one[0] === 'number')
    if (kind === 'check') values[name] = form.get(name) === 'on'
    else if (text === '') {
      if (value !== undefined && value !== null && value !== '') values[name] = numeric ? null : ''
    } else values[name] = numeric ? Number(text) : text
  }
  return values
}

/** The form. A refusal is told in it, and what was typed in stays. */
export function Form({ fields, path, method = 'POST', label, toBody, onDone }: FormProps) {
  const [refusal, setRefusal] = useState('')
  const [asking, setAsking] = useState(false)
  const send = async (form: HTMLFormElement) => {
    setRefusal('')
    setAsking(true)
    try {
      const values = valuesOf(fields, new FormData(form))
      const answer = await ask(path, { method, body: toBody ? toBody(values) : values })
      if (method === 'POST') form.reset()
      onDone(answer)
    } catch (error) {
      setRefusal((error as Error).message)
    }
    setAsking(false)
  }
  return (
    <form
      class="panel"
      onSubmit={(event) => {
        event.preventDefault()
        if (!asking) apart(send(event.currentTarget))
      }}
    >
      {fields.map((field) => (
        <Input key={field.name} field={field} />
      ))}
      {refusal && (
        <p class="refused" role="alert">
          {refusal}
        </p>
      )}
      <button type="submit" class="main" aria-disabled={asking}>
        {label}
      </button>
    </form>
  )
}

/** One field, with its label. */
export function Input({ field }: { field: Field }) {
  const { name, label, kind = 'text', options, required = false, hint, value } = field
  const id = useId()
  const common = { name, required, id, ...(hint ? { 'aria-describedby': `${id}-hint` } : {}) }
  if (kind === 'check') {
    return (
      <label class="row">
        <input {...common} type="checkbox" defaultChecked={value === true} /> {label}
      </label>
    )
  }
  return (
    <div class="field">
      <label htmlFor={id}>{label}</label>
      {options ? (
        <select {...common}>
          {options.map((one) => {
            const [of, word] = typeof one === 'string' ? [one, one] : one
            return (
              <option key={of} value={of} selected={of === value}>
                {word}
              </option>
            )
          })}
        </select>
      ) : kind === 'area' ? (
        <textarea {...common} rows={3} class="code" defaultValue={String(value ?? '')} />
      ) : (
        <input {...common} type={kind as 'text'} autocomplete="off" defaultValue={String(value ?? '')} />
      )}
      {hint && (
        <span class="hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
    </div>
  )
}
