/** The OpenAPI document (https://spec.openapis.org/oas/v3.1.1.html) of what the sources of both APIs say. */
import * as z from 'zod'
import { statusByCode as problemStatus } from '../../src/api/errors.js'
import type { ErrorCode } from '../../src/core/errors.js'
import { version } from '../../src/core/version.js'
import * as entities from '../../src/shim/entities.js'
import { statusByCode } from '../../src/shim/errors.js'
import type { ReadRoute } from './routes.js'
import { type Read, type Reads, type Value, variants } from './values.js'

type Schema = Record<string, unknown>

export function openApiDocument({ shim, api }: { shim: ReadRoute[]; api: ReadRoute[] }): object {
  return {
    openapi: '3.1.1',
    info: {
      title: 'Signalbox',
      version,
      description:
        'GitLab’s API as far as Signalbox serves it (`/api/v4`), and its own (`/api/signalbox/v1`). Parameters of a body ' +
        'are taken from the query too, as a form as well as JSON. `:id` of a project or group is its id or its path, ' +
        'URL-encoded. Besides the errors that are listed each request may be refused with another status: see docs/errors.md.',
    },
    servers: [{ url: '/' }],
    paths: {
      ...pathsOf(shim, { base: '/api/v4', statusByCode, refused: 'Error' }),
      ...pathsOf(api, {
        base: '/api/signalbox/v1',
        statusByCode: problemStatus,
        refused: 'Problem',
      }),
    },
    components: {
      securitySchemes: {
        access: { type: 'apiKey', in: 'header', name: 'PRIVATE-TOKEN', description: 'A person’s access token' },
        bearer: { type: 'http', scheme: 'bearer', description: 'An access token, or a job’s token' },
        job: { type: 'apiKey', in: 'header', name: 'JOB-TOKEN', description: 'The token of a running job' },
        runner: { type: 'apiKey', in: 'header', name: 'RUNNER-TOKEN', description: 'A runner’s token' },
      },
      responses: {
        Error: refusal('Error', 'application/json'),
        Problem: refusal('Problem', 'application/problem+json'),
      },
      schemas: { ...entitySchemas(), Problem: problem },
    },
  }
}

function refusal(schema: string, type: string): object {
  return { description: 'Refused', content: { [type]: { schema: { $ref: `#/components/schemas/${schema}` } } } }
}

const problem = {
  description: 'Why a request was refused (RFC 9457)',
  type: 'object',
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    code: { type: 'string', enum: Object.keys(problemStatus) },
    request_id: { type: 'string' },
  },
  required: ['type', 'title', 'status', 'detail', 'code', 'request_id'],
}

/** `JobEntity` is `Job`; entities in others are referred to. */
function entitySchemas(): Record<string, Schema> {
  const registry = z.registry<{ id: string }>()
  for (const [name, schema] of Object.entries(entities)) registry.add(schema, { id: shortName(name) })
  const { schemas } = z.toJSONSchema(registry, { io: 'input', uri: (name) => `#/components/schemas/${name}` })
  const named = ['$schema', '$id', 'id']
  const bare = (schema: object) => Object.fromEntries(Object.entries(schema).filter(([key]) => !named.includes(key)))
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, bare(schema)]))
}

const shortName = (name: string) => name.replace(/Entity$/, '')

interface Kind {
  base: string
  statusByCode: Record<ErrorCode, number>
  /** The response of what is refused. */
  refused: string
}

function pathsOf(routes: readonly ReadRoute[], kind: Kind): Record<string, Record<string, object>> {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of [...routes].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))) {
    const path = kind.base + templateOf(route.path)
    paths[path] = { ...paths[path], [route.method]: operation(route, kind) }
  }
  return paths
}

/** `/projects/:id` is `/projects/{id}` there. */
export const templateOf = (path: string) => path.replace(/[:*](\w+)/g, '{$1}')

const bodyMethods = ['post', 'put', 'patch']

function operation(route: ReadRoute, kind: Kind): object {
  const { about, deed, params, tokens } = route
  const hasBody = bodyMethods.includes(route.method) && !route.streams
  const inQuery = hasBody ? [] : [...params.byName].map(([name, read]) => queryParameter(name, read))
  const description = [about, deed === undefined ? undefined : `For those who may ${deed} the project.`]
    .filter(Boolean)
    .join(' ')
  return {
    operationId: `${route.method}${(kind.base === '/api/v4' ? '' : '/signalbox') + route.path}`.replace(
      /[^A-Za-z0-9]+/g,
      '_',
    ),
    tags: [route.module],
    ...(description === '' ? {} : { description }),
    ...(tokens.size === 0 ? {} : { security: [...tokens].flatMap((token) => schemesOf[token]) }),
    parameters: [
      ...[...route.path.matchAll(/[:*](\w+)/g)].map(([, name]) => ({
        name,
        in: 'path',
        required: true,
        schema: { type: route.numbers.has(name!) ? 'integer' : 'string' },
      })),
      ...inQuery,
    ],
    ...(hasBody && params.byName.size > 0 ? { requestBody: requestBody(params) } : {}),
    responses: responses(route, kind),
  }
}

const schemesOf: Record<'access' | 'job' | 'runner', object[]> = {
  access: [{ access: [] }, { bearer: [] }],
  job: [{ job: [] }],
  runner: [{ runner: [] }],
}

function queryParameter(name: string, read: Read): object {
  const isMap = read.kind === 'map'
  return {
    name,
    in: 'query',
    ...(read.required ? { required: true } : {}),
    ...(isMap ? { style: 'deepObject', explode: true } : {}),
    schema: readSchema(read),
  }
}

function requestBody(params: Reads): object {
  const schema = mapSchema(params)
  const required = 'required' in schema
  return {
    ...(required ? { required } : {}),
    content: { 'application/json': { schema } },
  }
}

function mapSchema({ byName, open }: Reads): Schema {
  const required = [...byName].flatMap(([name, read]) => (read.required ? [name] : []))
  return {
    type: 'object',
    properties: Object.fromEntries([...byName].map(([name, read]) => [name, readSchema(read)])),
    ...(required.length === 0 ? {} : { required }),
    ...(open ? { additionalProperties: true } : {}),
  }
}

function readSchema({ kind, min, max, values, inner }: Read): Schema {
  switch (kind) {
    case 'text':
      return { type: 'string', ...(max === undefined ? {} : { maxLength: max }) }
    case 'integer':
      return {
        type: 'integer',
        ...(min === undefined ? {} : { minimum: min }),
        ...(max === undefined ? {} : { maximum: max }),
      }
    case 'boolean':
      return { type: 'boolean' }
    case 'choice':
      return { type: 'string', enum: values }
    case 'texts':
      return { type: 'array', items: { type: 'string' } }
    case 'map':
      return inner ? mapSchema(inner) : { type: 'object' }
    case 'maps':
      return { type: 'array', items: inner ? mapSchema(inner) : { type: 'object' } }
    case 'raw':
      return {}
  }
}

function responses(route: ReadRoute, { statusByCode, refused: name }: Kind): object {
  const answers = [...route.answers].map(([status, body]) => [status, answer(status, body)] as const)
  const refusals = [...route.errors].map((code) => statusByCode[code as ErrorCode])
  const refused = { $ref: `#/components/responses/${name}` }
  return {
    ...Object.fromEntries(answers),
    ...Object.fromEntries(refusals.filter((status) => !route.answers.has(status)).map((status) => [status, refused])),
    default: refused,
  }
}

function answer(status: number, body: Value | undefined): object {
  const description = status === 204 ? 'Done' : status === 302 ? 'It lies elsewhere' : 'Answered'
  if (body === undefined) return { description }
  return { description, content: { 'application/json': { schema: valueSchema(body) } } }
}

/** Equal ones once; what nothing is known of says nothing. */
function oneOf(schemas: readonly Schema[]): Schema {
  const different = [...new Map(schemas.map((schema) => [JSON.stringify(schema), schema])).values()]
  if (different.length === 1) return different[0]!
  return different.some((one) => Object.keys(one).length === 0) ? {} : { anyOf: different }
}

function valueSchema(value: Value): Schema {
  switch (value.is) {
    case 'literal':
      return value.value === undefined ? {} : { const: value.value }
    case 'list':
      return { type: 'array', items: value.items.length === 0 ? {} : oneOf(value.items.map(valueSchema)) }
    case 'many':
      return { type: 'array', items: valueSchema(value.of) }
    case 'entity':
      return { $ref: `#/components/schemas/${shortName(value.name)}` }
    case 'one':
      return oneOf(variants(value).map(valueSchema))
    case 'map': {
      const own = {
        type: 'object',
        properties: Object.fromEntries([...value.properties].map(([name, one]) => [name, valueSchema(one)])),
        ...(value.open ? { additionalProperties: true } : {}),
      }
      const like = value.like.map((name) => ({ $ref: `#/components/schemas/${shortName(name)}` }))
      return like.length === 0 ? own : { allOf: [...like, own] }
    }
    default:
      return {}
  }
}
