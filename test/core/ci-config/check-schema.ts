import type { JsonSchema } from '../../../src/core/ci-config/json-schema.js'

/**
 * As much of JSON Schema draft 7 as our schema uses. An unknown keyword is an error of the test, so that the schema
 * cannot come to use what is not checked.
 */
export function fitsSchema(value: unknown, schema: JsonSchema, root: JsonSchema = schema): boolean {
  return Object.entries(schema).every(([keyword, wanted]) => {
    const check = keywords[keyword]
    if (check === undefined) throw new Error(`the test knows no ${keyword}`)
    return check(value, wanted as never, schema, root)
  })
}

type Check = (value: unknown, wanted: never, schema: JsonSchema, root: JsonSchema) => boolean

const annotation: Check = () => true

const keywords: Record<string, Check> = {
  $schema: annotation,
  title: annotation,
  description: annotation,
  definitions: annotation,
  $ref: (value, wanted: string, _, root) => {
    const name = wanted.replace('#/definitions/', '')
    return fitsSchema(value, (root.definitions as Record<string, JsonSchema>)[name] as JsonSchema, root)
  },
  type: (value, wanted: string | string[]) => [wanted].flat().some((type) => isOfType(value, type)),
  enum: (value, wanted: unknown[]) => wanted.includes(value),
  anyOf: (value, wanted: JsonSchema[], _, root) => wanted.some((one) => fitsSchema(value, one, root)),
  oneOf: (value, wanted: JsonSchema[], _, root) => wanted.filter((one) => fitsSchema(value, one, root)).length === 1,
  dependencies: (value, wanted: Record<string, string[]>) =>
    !isObject(value) ||
    Object.entries(wanted).every(
      ([key, others]) => !Object.hasOwn(value, key) || others.every((other) => Object.hasOwn(value, other)),
    ),
  not: (value, wanted: JsonSchema, _, root) => !fitsSchema(value, wanted, root),
  minimum: (value, wanted: number) => typeof value !== 'number' || value >= wanted,
  maximum: (value, wanted: number) => typeof value !== 'number' || value <= wanted,
  maxLength: (value, wanted: number) => typeof value !== 'string' || value.length <= wanted,
  pattern: (value, wanted: string) => typeof value !== 'string' || new RegExp(wanted).test(value),
  minItems: (value, wanted: number) => !Array.isArray(value) || value.length >= wanted,
  maxItems: (value, wanted: number) => !Array.isArray(value) || value.length <= wanted,
  items: (value, wanted: JsonSchema, _, root) =>
    !Array.isArray(value) || value.every((one) => fitsSchema(one, wanted, root)),
  minProperties: (value, wanted: number) => !isObject(value) || Object.keys(value).length >= wanted,
  maxProperties: (value, wanted: number) => !isObject(value) || Object.keys(value).length <= wanted,
  required: (value, wanted: string[]) => !isObject(value) || wanted.every((key) => Object.hasOwn(value, key)),
  properties: (value, wanted: Record<string, JsonSchema>, _, root) =>
    !isObject(value) ||
    Object.entries(wanted).every(([key, one]) => !Object.hasOwn(value, key) || fitsSchema(value[key], one, root)),
  patternProperties: annotation,
  additionalProperties: (value, wanted: boolean | JsonSchema, schema, root) => {
    if (!isObject(value)) return true
    const patterns = Object.keys((schema.patternProperties ?? {}) as object).map((pattern) => new RegExp(pattern))
    const known = (schema.properties ?? {}) as object
    const others = Object.keys(value).filter(
      (key) => !Object.hasOwn(known, key) && !patterns.some((pattern) => pattern.test(key)),
    )
    return others.every((key) => (typeof wanted === 'boolean' ? wanted : fitsSchema(value[key], wanted, root)))
  },
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isOfType(value: unknown, type: string): boolean {
  switch (type) {
    case 'null':
      return value === null
    case 'array':
      return Array.isArray(value)
    case 'object':
      return isObject(value)
    case 'integer':
      return Number.isInteger(value)
    default:
      return typeof value === type
  }
}
