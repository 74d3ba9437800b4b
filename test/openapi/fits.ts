/** Whether an answer is what a schema of the document says: with the types it says, and no property that it does not name. */

// biome-ignore lint/suspicious/noExplicitAny: a JSON document
export type Json = any

/** Gives what is wrong, each with its place; empty: nothing. */
export function faults(document: Json, schema: Json, value: Json, at = '$'): string[] {
  const check = (one: Json, inner: Json, place = at) => faults(document, one, inner, place)
  const flat = flattened(document, schema)
  if (flat.anyOf) {
    const all = flat.anyOf.map((one: Json) => check(one, value))
    return all.some((one: string[]) => one.length === 0) ? [] : all[0]
  }
  if ('const' in flat) return flat.const === value ? [] : [`${at} is ${JSON.stringify(value)}`]
  if (flat.enum && !flat.enum.includes(value)) return [`${at} is ${JSON.stringify(value)}`]
  if (flat.type && ![flat.type].flat().some((type) => isOf(type, value))) return [`${at} is no ${flat.type}`]
  if (Array.isArray(value)) return value.flatMap((one, i) => check(flat.items ?? {}, one, `${at}[${i}]`))
  if (!flat.properties || typeof value !== 'object' || value === null) return []
  const missing = (flat.required ?? []).filter((name: string) => !(name in value))
  return [
    ...missing.map((name: string) => `${at}.${name} is missing`),
    ...Object.entries(value).flatMap(([name, one]) => {
      const property = flat.properties[name] ?? flat.additionalProperties
      return property === undefined ? [`${at}.${name} is not described`] : check(property, one, `${at}.${name}`)
    }),
  ]
}

/** With what it refers to. */
function flattened(document: Json, schema: Json): Json {
  if (schema === true) return {}
  if (schema.$ref)
    return flattened(
      document,
      schema.$ref
        .slice(2)
        .split('/')
        .reduce((at: Json, key: string) => at[key], document),
    )
  if (!schema.allOf) return schema
  const parts = schema.allOf.map((one: Json) => flattened(document, one))
  return {
    ...Object.assign({}, ...parts),
    properties: Object.assign({}, ...parts.map((one: Json) => one.properties)),
    required: parts.flatMap((one: Json) => one.required ?? []),
  }
}

function isOf(type: string, value: Json): boolean {
  if (type === 'null') return value === null
  if (type === 'array') return Array.isArray(value)
  if (type === 'integer') return Number.isInteger(value)
  return typeof value === type && value !== null && !Array.isArray(value)
}
