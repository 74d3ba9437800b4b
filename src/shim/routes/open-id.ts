/** `/.well-known` and the keys of ID tokens. */
import { idTokenJwk } from '../../core/operations/show-id-token-key.js'
import type { Route } from '../../http/call.js'
import { tokenRoute } from '../call.js'
import { openIdPaths } from '../open-id-paths.js'

const claims = [
  ...['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti'],
  ...['project_id', 'project_path', 'namespace_id', 'namespace_path', 'project_visibility'],
  ...['job_project_id', 'job_project_path', 'job_namespace_id', 'job_namespace_path'],
  ...['user_id', 'user_login', 'user_email', 'user_access_level'],
  ...['pipeline_id', 'pipeline_source', 'job_id', 'ref', 'ref_type', 'ref_path', 'ref_protected', 'sha'],
  ...['environment', 'environment_protected', 'deployment_tier', 'environment_action'],
  ...['runner_id', 'runner_environment', 'ci_config_ref_uri', 'ci_config_sha'],
]

export const openIdRoutes: readonly Route[] = [
  tokenRoute('get', openIdPaths.configuration, async ({ core }) => {
    const issuer = core.externalUrl()
    const body = {
      issuer,
      jwks_uri: issuer + openIdPaths.keys,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
      scopes_supported: ['openid'],
      claims_supported: claims,
    }
    return { status: 200, body }
  }),
  tokenRoute('get', openIdPaths.keys, async ({ core }) => ({ status: 200, body: { keys: [await idTokenJwk(core)] } })),
]
