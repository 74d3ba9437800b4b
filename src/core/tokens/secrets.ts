/**
 * Secrets from outside, as a runner is told to fetch them: the keyword's value, with the provider's address and the token
 * to show it, both out of the job's variables. Shape: gitlab-runner common/spec/spec.go; names of the variables:
 * https://docs.gitlab.com/ci/secrets/
 */
import type { JobPlan } from '../ci-config/job-definition.js'
import type { PlanVariable } from '../ci-config/variables.js'

type Source = Record<string, unknown>
type Lookup = (name: string) => string | undefined

interface Provider {
  /** From the short form of the keyword. */
  parse?: (text: string) => Source
  /** What a secret is taken for that says nothing else. */
  defaults?: Source
  /** Without this variable the provider is not known; absent: a secret may name all that it takes. */
  needs?: string
  server(lookup: Lookup, jwt: string): Source
}

const providers: Record<string, Provider> = {
  vault: {
    // path/field@engine
    parse(text) {
      const at = text.lastIndexOf('@')
      const engine = at < 0 ? 'kv-v2' : text.slice(at + 1)
      const whole = at < 0 ? text : text.slice(0, at)
      const slash = whole.lastIndexOf('/')
      return {
        engine: { name: 'kv-v2', path: engine },
        path: whole.slice(0, Math.max(0, slash)),
        field: whole.slice(slash + 1),
      }
    },
    needs: 'VAULT_SERVER_URL',
    server: (lookup, jwt) => ({
      url: lookup('VAULT_SERVER_URL') ?? '',
      namespace: lookup('VAULT_NAMESPACE') ?? '',
      auth: {
        name: 'jwt',
        path: lookup('VAULT_AUTH_PATH') ?? 'jwt',
        data: { jwt, ...given({ role: lookup('VAULT_AUTH_ROLE') }) },
      },
    }),
  },
  gcp_secret_manager: {
    defaults: { version: 'latest' },
    needs: 'GCP_PROJECT_NUMBER',
    server: (lookup, jwt) => ({
      project_number: lookup('GCP_PROJECT_NUMBER') ?? '',
      workload_identity_federation_pool_id: lookup('GCP_WORKLOAD_IDENTITY_FEDERATION_POOL_ID') ?? '',
      workload_identity_federation_provider_id: lookup('GCP_WORKLOAD_IDENTITY_FEDERATION_PROVIDER_ID') ?? '',
      jwt,
    }),
  },
  azure_key_vault: {
    needs: 'AZURE_KEY_VAULT_SERVER_URL',
    server: (lookup, jwt) => ({
      url: lookup('AZURE_KEY_VAULT_SERVER_URL') ?? '',
      client_id: lookup('AZURE_CLIENT_ID') ?? '',
      tenant_id: lookup('AZURE_TENANT_ID') ?? '',
      jwt,
    }),
  },
  aws_secrets_manager: {
    // id#field
    parse(text) {
      const [id = '', field] = text.split('#', 2)
      return { secret_id: id, ...given({ field }) }
    },
    server: (lookup, jwt) => ({
      region: lookup('AWS_REGION') ?? '',
      jwt,
      ...given({ role_arn: lookup('AWS_ROLE_ARN'), role_session_name: lookup('AWS_ROLE_SESSION_NAME') }),
    }),
  },
}

/** The field `secrets` of the payload. `variables`: those of the job, the strongest last. */
export function secretsForRunner(plan: JobPlan, variables: readonly PlanVariable[]): Source {
  const lookup: Lookup = (name) => variables.findLast(({ key }) => key === name)?.value
  const firstToken = Object.keys(plan.idTokens ?? {})[0]
  return Object.fromEntries(
    Object.entries(plan.secrets ?? {}).map(([name, given]) => {
      const { file, token, ...sources } = given as Source & { file?: boolean; token?: string }
      const jwt = token ?? (firstToken === undefined ? '' : `$${firstToken}`)
      const told = Object.entries(sources).map(([kind, source]) => [kind, sourceOf(kind, source, lookup, jwt)])
      return [name, { ...Object.fromEntries(told), file: file ?? true }]
    }),
  )
}

/** Whether each secret's provider is one that runners know, and its address is among the variables. */
export function knowsProviders(plan: JobPlan, variables: ReadonlySet<string>): boolean {
  return Object.values(plan.secrets ?? {}).every((one) => {
    const kinds = Object.keys(one as Source).filter((key) => key !== 'file' && key !== 'token')
    return kinds.every((kind) => {
      const provider = providers[kind]
      return provider !== undefined && (provider.needs === undefined || variables.has(provider.needs))
    })
  })
}

function sourceOf(kind: string, source: unknown, lookup: Lookup, jwt: string): unknown {
  const provider = providers[kind]
  if (!provider) return source
  const fields = typeof source === 'string' ? (provider.parse?.(source) ?? {}) : (source as Source)
  return { ...provider.defaults, ...fields, server: provider.server(lookup, jwt) }
}

function given(fields: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  )
}
