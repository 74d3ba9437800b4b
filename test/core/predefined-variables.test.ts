import { describe, expect, test } from 'vitest'
import { groupName } from '../../src/core/ci-config/parallel.js'
import { type PipelineFacts, pipelineVariables, repositoryUrl } from '../../src/core/payload/predefined-variables.js'

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

describe('what is kept of a commit', () => {
  const other: { [Field in keyof PipelineFacts]?: PipelineFacts[Field] } = {
    externalUrl: 'https://other.example.org',
    source: 'merge_request_event',
    mergeRequest: true,
    ref: 'v1',
    tag: true,
    protected: false,
    sha: 'b'.repeat(40),
    beforeSha: 'c'.repeat(40),
    tagMessage: 'The first',
    openRequests: [1, 2],
    createdAt: Date.UTC(2027, 0, 1),
  }
  const changes: [string, Partial<PipelineFacts>][] = [
    ...Object.entries(other).map(([field, value]): [string, Partial<PipelineFacts>] => [field, { [field]: value }]),
    ...Object.keys(facts.project).map((field): [string, Partial<PipelineFacts>] => {
      const changed = field === 'id' || field === 'groupId' ? 7 : 'x/other'
      return [`project.${field}`, { project: { ...facts.project, [field]: changed } }]
    }),
  ]

  test.each(changes)('is not taken for a pipeline with another %s', (_, change) => {
    pipelineVariables(facts)
    const fresh = pipelineVariables({ ...facts, ...change, commit: { ...facts.commit } })
    expect(pipelineVariables({ ...facts, ...change })).toEqual(fresh)
    expect(fresh).not.toEqual(pipelineVariables(facts))
  })
})

test('the address that a job clones from has neither the user nor the end of the server’s', () => {
  expect(repositoryUrl('https://me:secret@CI.example.org:443/base/', 'g/p', 't')).toBe(
    'https://gitlab-ci-token:t@ci.example.org/base/g/p.git',
  )
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
