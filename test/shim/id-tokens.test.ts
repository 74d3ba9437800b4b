/** ID tokens, checked as a consumer does: with the keys that the server publishes, and nothing else. */
import { createPublicKey, verify } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type PayloadVariable, refusedOf } from '../contract/job-payload.js'
import { onBothEngines } from '../support/stores.js'
import { type ShimBox, startShimBox } from './support/box.js'

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  // biome-ignore lint/suspicious/noExplicitAny: what is published is looked at field by field
  const open = async (path: string): Promise<any> => (await fetch(box.url + path)).json()
  const part = (text: string) => JSON.parse(Buffer.from(text, 'base64url').toString())

  /** The claims of a token, if it verifies against the published keys. */
  async function verified(token: string) {
    const { issuer, jwks_uri, id_token_signing_alg_values_supported } = await open('/.well-known/openid-configuration')
    expect(jwks_uri).toBe(`${issuer}/oauth/discovery/keys`)
    const { keys } = await open('/oauth/discovery/keys')
    const [head = '', body = '', signature = ''] = token.split('.')
    const { alg, kid, typ } = part(head)
    expect([id_token_signing_alg_values_supported, typ]).toEqual([[alg], 'JWT'])
    const jwk = keys.find((one: { kid: string }) => one.kid === kid)
    expect(Object.keys(jwk).sort()).toEqual(['alg', 'e', 'kid', 'kty', 'n', 'use'])
    const key = createPublicKey({ key: jwk, format: 'jwk' })
    expect(verify('sha256', Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'))).toBe(true)
    const claims = part(body)
    expect(claims.iss).toBe(issuer)
    return claims
  }

  /** The payload of the one job of a new project. */
  async function taken(config: object, path: string, variables: [key: string, value: string][] = []) {
    const project = await box.core.project(config, path)
    for (const [key, value] of variables) {
      await box.admin('POST', `/projects/${project.id}/variables`, { json: { key, value } })
    }
    await box.admin('POST', `/projects/${project.id}/pipeline`, { json: { ref: 'main' } })
    const runner = await box.admin('POST', '/user/runners', {
      json: { runner_type: 'project_type', project_id: project.id },
    })
    const poll = () => box.poll(runner.body.token, {}, { headers: { 'X-Request-Id': path.replaceAll('/', '-') } })
    const { body } = await poll()
    expect(refusedOf(body)).toEqual([])
    const find = (key: string): PayloadVariable => body.variables.findLast((one: PayloadVariable) => one.key === key)
    return { project, body, find, poll, runner: runner.body.id as number }
  }

  it('are masked variables, signed for the job, verifiable by anybody', async () => {
    const config = {
      deploy: {
        script: 'x',
        environment: { name: 'production', action: 'verify' },
        id_tokens: { CLOUD: { aud: 'https://$WHERE.example' }, VAULT: { aud: ['https://a', 'https://$NOWHERE'] } },
        timeout: '20 minutes',
      },
    }
    const path = `oidc/deep/app-${engine}`
    const { project, body, find, runner } = await taken(config, path, [['WHERE', 'cloud']])
    const cloud = find('CLOUD')
    expect(cloud).toMatchObject({ masked: true, public: false, file: false })
    const now = Math.floor(box.core.clock.now() / 1000)
    const claims = await verified(cloud.value)
    expect(claims).toEqual({
      iss: 'http://box.test',
      sub: `project_path:${path}:ref_type:branch:ref:main`,
      aud: 'https://cloud.example',
      jti: expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
      iat: now,
      nbf: now - 5,
      exp: now + 1200,
      project_id: String(project.id),
      project_path: path,
      project_visibility: 'private',
      namespace_id: String(project.groupId),
      namespace_path: 'oidc/deep',
      job_project_id: String(project.id),
      job_project_path: path,
      job_namespace_id: String(project.groupId),
      job_namespace_path: 'oidc/deep',
      user_id: '1',
      user_login: 'root',
      user_email: expect.stringContaining('@'),
      user_access_level: 'owner',
      pipeline_id: String(body.job_info.pipeline_id),
      pipeline_source: 'api',
      job_id: String(body.id),
      ref: 'main',
      ref_type: 'branch',
      ref_path: 'refs/heads/main',
      ref_protected: 'true',
      sha: body.git_info.sha,
      ci_config_ref_uri: `box.test/${path}//.gitlab-ci.yml@refs/heads/main`,
      ci_config_sha: body.git_info.sha,
      environment: 'production',
      environment_protected: 'false',
      deployment_tier: 'production',
      environment_action: 'verify',
      runner_id: runner,
      runner_environment: 'self-hosted',
    })
    const second = await verified(find('VAULT').value)
    expect(second.aud).toEqual(['https://a', 'https://'])
    expect(second.jti).not.toBe(claims.jti)
    const published = (await open('/.well-known/openid-configuration')).claims_supported
    expect(Object.keys(claims).filter((claim) => !published.includes(claim))).toEqual([])
  })

  it('are the same for a request that is repeated, and others for a retry', async () => {
    const config = { deploy: { script: 'x', id_tokens: { T: { aud: 'a' } } } }
    const { project, body, find, poll } = await taken(config, `oidc/again-${engine}`)
    const again = await poll()
    expect(again.body).toEqual(body)
    await box.send('PUT', `/jobs/${body.id}`, { json: { token: body.token, state: 'failed' } })
    const retried = await box.admin('POST', `/projects/${project.id}/jobs/${body.id}/retry`)
    expect(retried.status).toBe(201)
    const token = await box.runnerToken({ type: 'project', projectId: project.id })
    const next = (await box.poll(token)).body.variables.find((one: PayloadVariable) => one.key === 'T')
    expect((await verified(next.value)).jti).not.toBe((await verified(find('T').value)).jti)
  })

  it('do not stand in the log, nor readable in the store, whatever the runner sends', async () => {
    const config = { deploy: { script: 'x', id_tokens: { T: { aud: 'a' } } } }
    const { project, body, find } = await taken(config, `oidc/quiet-${engine}`)
    const { db } = box.core.core.store.read
    const payloads = await db.selectFrom('payloads').selectAll().execute()
    expect(payloads.some((row) => Buffer.from(row.body).includes('project_path:'))).toBe(false)
    const kept = (await db.selectFrom('meta').selectAll().execute()).find(({ key }) => key === 'id_token_key')
    const rsaOid = Buffer.from('06092a864886f70d010101', 'hex')
    expect(Buffer.from(kept!.value, 'base64').includes(rsaOid)).toBe(false)
    const token = find('T').value
    const sent = await box.send('PATCH', `/jobs/${body.id}/trace`, {
      body: `it is ${token}\n`,
      headers: { 'JOB-TOKEN': body.token, 'Content-Type': 'text/plain', 'Content-Range': `0-${token.length + 6}` },
    })
    expect(sent.status).toBe(202)
    const log = await box.admin('GET', `/projects/${project.id}/jobs/${body.id}/trace`)
    expect(log.text).toBe(`it is ${'*'.repeat(token.length)}\n`)
  })

  it('get a new key where the old one cannot be opened', async () => {
    const config = { deploy: { script: 'x', id_tokens: { T: { aud: 'a' } } } }
    await using other = await startShimBox(engine)
    const spoilt = { key: 'id_token_key', value: 'AAAA' }
    await other.core.core.store.write((tx) => tx.db.insertInto('meta').values(spoilt).execute())
    await other.run(config, 'oidc/new-key')
    const { body } = await other.poll(await other.runnerToken())
    expect(body.variables.find((one: PayloadVariable) => one.key === 'T').value.split('.')).toHaveLength(3)
  })

  it('are what secrets of other providers are fetched with, by the runner', async () => {
    const config = {
      deploy: {
        script: 'x',
        id_tokens: { FIRST: { aud: 'a' }, SECOND: { aud: 'b' } },
        secrets: {
          SHORT: { vault: 'production/db/password@ops', file: false },
          LONG: { vault: { engine: { name: 'kv-v1', path: 'kv' }, path: 'p', field: 'f' }, token: '$SECOND' },
          GOOGLE: { gcp_secret_manager: { name: 'n' }, token: '$SECOND' },
          AZURE: { azure_key_vault: { name: 'n', version: 'v' } },
          AWS: { aws_secrets_manager: 'app/db#password' },
        },
      },
    }
    const { body } = await taken(config, `oidc/secrets-${engine}`, [
      ['VAULT_SERVER_URL', 'https://vault.example'],
      ['VAULT_AUTH_ROLE', 'deployer'],
      ['GCP_PROJECT_NUMBER', '42'],
      ['AZURE_KEY_VAULT_SERVER_URL', 'https://azure.example'],
      ['AWS_REGION', 'eu-1'],
    ])
    const server = (jwt: string) => ({
      url: 'https://vault.example',
      namespace: '',
      auth: { name: 'jwt', path: 'jwt', data: { jwt, role: 'deployer' } },
    })
    expect(body.secrets).toEqual({
      SHORT: {
        file: false,
        vault: {
          engine: { name: 'kv-v2', path: 'ops' },
          path: 'production/db',
          field: 'password',
          server: server('$FIRST'),
        },
      },
      LONG: {
        file: true,
        vault: { engine: { name: 'kv-v1', path: 'kv' }, path: 'p', field: 'f', server: server('$SECOND') },
      },
      GOOGLE: {
        file: true,
        gcp_secret_manager: {
          name: 'n',
          version: 'latest',
          server: {
            project_number: '42',
            workload_identity_federation_pool_id: '',
            workload_identity_federation_provider_id: '',
            jwt: '$SECOND',
          },
        },
      },
      AZURE: {
        file: true,
        azure_key_vault: {
          name: 'n',
          version: 'v',
          server: { url: 'https://azure.example', client_id: '', tenant_id: '', jwt: '$FIRST' },
        },
      },
      AWS: {
        file: true,
        aws_secrets_manager: { secret_id: 'app/db', field: 'password', server: { region: 'eu-1', jwt: '$FIRST' } },
      },
    })
  })

  it('end a job whose secrets have no provider', async () => {
    const cases: [string, object][] = [
      ['no-address', { vault: 'a/b' }],
      ['no-such', { gitlab_secrets_manager: { name: 'a' } }],
    ]
    for (const [path, secret] of cases) {
      const config = { deploy: { script: 'x', secrets: { S: secret } } }
      const { project, pipeline } = await box.run(config, `oidc/${path}`)
      const { body } = await box.admin('GET', `/projects/${project.id}/pipelines/${pipeline.id}/jobs`)
      expect([path, body[0].status, body[0].failure_reason]).toEqual([path, 'failed', 'secrets_provider_not_found'])
    }
  })

  it('are not in the payload of a job that wants none, nor is anything in their place', async () => {
    const { body } = await taken({ test: { script: 'x' } }, `oidc/none-${engine}`)
    expect(Object.keys(body)).not.toContain('secrets')
    expect(JSON.stringify(body)).not.toContain('id_token')
  })
})
