import { expect, it } from 'vitest'
import { jsonSchema } from '../../../src/core/ci-config/json-schema.js'
import { expectKept } from '../../support/kept-file.js'

it('is kept in docs/gitlab-ci.schema.json, for editors', () => {
  expectKept('docs/gitlab-ci.schema.json', `${JSON.stringify(jsonSchema(), null, 2)}\n`)
})

it('describes every keyword of a job and of the top', () => {
  const schema = jsonSchema() as { properties: Record<string, object>; definitions: { job: { anyOf: JobSchema[] } } }
  const described = ([name, one]: [string, object]) => ('description' in one ? [] : [name])
  expect(Object.entries(schema.properties).flatMap(described)).toEqual([])
  for (const job of schema.definitions.job.anyOf) {
    expect(Object.entries(job.properties).flatMap(described)).toEqual([])
  }
})

interface JobSchema {
  properties: Record<string, object>
}
