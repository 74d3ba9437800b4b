import { expect, test } from 'vitest'
import { compileConfig } from '../../../src/core/ci-config/compile.js'

test('a misspelt keyword is refused with its line and the nearest name', async () => {
  const result = await compileConfig('build:\n  script: make\n  artefacts:\n    paths: [out]\n', {
    fetchInclude: async () => ({ ok: false, reason: 'not here' }),
  })
  expect(result).toMatchObject({
    ok: false,
    errors: [{ path: 'jobs:build', line: 3, column: 3, message: expect.stringContaining('did you mean "artifacts"?') }],
  })
})
