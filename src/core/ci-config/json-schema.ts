/** The language as a JSON Schema, for editors. */
import { spec } from './keywords/header.js'
import { include } from './keywords/include.js'
import { bridgeShape, jobShape } from './keywords/job.js'
import { rootKeys } from './keywords/root.js'
import type { AnyShape, Keyword, ListShape, RecordShape, TextShape } from './shape.js'

/** A schema, or a part of one: https://json-schema.org/draft-07 */
export type JsonSchema = { [key: string]: unknown }

/**
 * A JSON Schema (draft 7) of `.gitlab-ci.yml` for editors, made of the same tables that validate files. It knows types,
 * names and limits; rules between keywords are only checked when a file is compiled.
 *
 * Editors show `!reference [a, b]` as a list of strings, so one is taken in place of any keyword of a job.
 */
export function jsonSchema(): JsonSchema {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: '.gitlab-ci.yml',
    type: 'object',
    properties: {
      ...keywordSchemas(rootKeys),
      include: { description: 'Files that are merged into this one.', ...schemaOf(include) },
      spec: { description: 'Header of a file: its inputs. Ends with a line of three dashes.', ...schemaOf(spec) },
    },
    patternProperties: { '^\\.': { description: 'A hidden job: for others to extend or refer to.' } },
    additionalProperties: { $ref: '#/definitions/job' },
    definitions: {
      reference: { type: 'array', items: { type: 'string' }, minItems: 1 },
      job: { anyOf: [jobSchema(jobShape), jobSchema(bridgeShape)] },
    },
  }
}

function jobSchema(shape: AnyShape): JsonSchema {
  const schema = schemaOf(shape)
  if (shape.kind !== 'record') return schema
  const properties = Object.entries(shape.keys).map(([name, keyword]) => {
    const { description, ...own } = keywordSchema(keyword)
    const anyOf = [...alternatives(own), { $ref: '#/definitions/reference' }]
    return [name, description === undefined ? { anyOf } : { description, anyOf }]
  })
  return { ...schema, properties: Object.fromEntries(properties) }
}

function keywordSchemas(keys: Readonly<Record<string, Keyword>>): JsonSchema {
  return Object.fromEntries(Object.entries(keys).map(([name, keyword]) => [name, keywordSchema(keyword)]))
}

function keywordSchema(keyword: Keyword): JsonSchema {
  const schema = schemaOf(keyword.shape)
  const { about } = keyword.shape
  const described = about === undefined ? schema : { description: about, ...schema }
  return keyword.nullable === true ? { ...described, ...orNull(schema) } : described
}

function orNull(schema: JsonSchema): JsonSchema {
  return { anyOf: [...alternatives(schema), { type: 'null' }] }
}

function alternatives(schema: JsonSchema): JsonSchema[] {
  return Array.isArray(schema.anyOf) ? (schema.anyOf as JsonSchema[]) : [schema]
}

function schemaOf(shape: AnyShape): JsonSchema {
  switch (shape.kind) {
    case 'anything':
      return {}
    case 'boolean':
      return { type: 'boolean' }
    case 'choice':
      return { type: 'string', enum: [...shape.values] }
    case 'number':
      return { type: shape.integer ? 'integer' : 'number', ...present({ minimum: shape.min, maximum: shape.max }) }
    case 'text':
      return textSchema(shape)
    case 'either':
      return { anyOf: shape.options.map(schemaOf) }
    case 'list':
      return listSchema(shape)
    case 'entries':
      return { type: 'object', additionalProperties: entrySchema(shape), ...present({ maxProperties: shape.max }) }
    case 'record':
      return recordSchema(shape)
  }
}

function entrySchema(shape: Extract<AnyShape, { kind: 'entries' }>): JsonSchema {
  return shape.nullable === true || shape.nullIsEmpty === true ? orNull(schemaOf(shape.of)) : schemaOf(shape.of)
}

function textSchema(shape: TextShape): JsonSchema {
  const others = shape.scalar === 'any' ? ['number', 'boolean'] : shape.scalar === 'integer' ? ['integer'] : []
  return {
    type: others.length === 0 ? 'string' : ['string', ...others],
    ...present({ maxLength: shape.max, pattern: shape.pattern?.source ?? (shape.filled === true ? '\\S' : undefined) }),
  }
}

function listSchema(shape: ListShape): JsonSchema {
  const item = schemaOf(shape.of)
  const limits = present({ minItems: shape.min, maxItems: shape.max })
  if (shape.nested === undefined) return { type: 'array', items: item, ...limits }
  return { type: 'array', items: { anyOf: [item, { type: 'array' }] }, ...present({ minItems: shape.min }) }
}

function recordSchema(shape: RecordShape): JsonSchema {
  return {
    type: 'object',
    properties: keywordSchemas(shape.keys),
    additionalProperties: false,
    ...(shape.mayBeEmpty === true ? {} : { minProperties: 1 }),
    ...(shape.required.length === 0 ? {} : { required: [...shape.required] }),
    ...(shape.exclusive === undefined ? {} : { not: { anyOf: shape.exclusive.map((required) => ({ required })) } }),
    ...(shape.oneOf === undefined ? {} : { oneOf: shape.oneOf.map((key) => ({ required: [key] })) }),
    ...(shape.requires === undefined ? {} : { dependencies: dependencies(shape.requires) }),
  }
}

function dependencies(requires: Readonly<Record<string, string>>): JsonSchema {
  return Object.fromEntries(Object.entries(requires).map(([key, other]) => [key, [other]]))
}

function present(values: JsonSchema): JsonSchema {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}
