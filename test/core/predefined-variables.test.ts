import { expect, test } from 'vitest'
import { groupName } from '../../src/core/ci-config/parallel.js'
import { type PipelineFacts, pipelineVariables } from '../../src/core/payload/predefined-variables.js'

const facts: PipelineFacts = {
  project: {
    id: 1,
    groupId: 1,
    path: 'p',
    fullPath: 'g/p',
    name: 'p',
    description: '',
    visibility: 'private',
    defaultBranch: 'main',
    configPath: '.gitlab-ci.yml',
  },
  externalUrl: 'https://ci.example.org',
  source: 'push',
  ref: 'main',
  tag: false,
  protected: true,
  sha: 'a'.repeat(40),
  beforeSha: '0'.repeat(40),
  commit: { sha: 'a'.repeat(40), author: '', authorName: '', authorEmail: '', timestamp: '', message: '' },
  createdAt: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
  user: null,
}

test('the time of a pipeline has whole seconds, as `iso8601` writes it', () => {
  const values = new Map(pipelineVariables(facts).map(({ key, value }) => [key, value]))
  expect(values.get('CI_PIPELINE_CREATED_AT')).toBe('2026-01-02T03:04:05Z')
})

/** lib/gitlab/utils/job.rb: PARALLEL_VARIANT_REGEX. */
test.each([
  ['rspec1', 'rspec1'],
  ['rspec 0 1', 'rspec'],
  ['rspec 0/2', 'rspec'],
  ['rspec:1:2', 'rspec'],
  ['rspec: [aws, app1] 1/2', 'rspec'],
  ['rspec: [x, [y]]', 'rspec'],
  ['build test 0/2 more', 'build test 0/2 more'],
])('the group of %j is %j', (name, group) => {
  expect(groupName(name)).toBe(group)
})
