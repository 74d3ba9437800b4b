/** Keywords with a small language of their own: release, pages, run, secrets, tokens and inputs of jobs. */
import { anything, boolean, checked, choice, either, entries, keyword, list, record, required, text } from '../shape.js'
import { duration, inputValues, plainMap, textOrTexts } from './parts.js'

const link = record({
  name: required(text({ filled: true }), 'Name of the link.'),
  url: required(text({ filled: true }), 'Where the link leads.'),
  filepath: keyword(text(), 'Path of the redirect.'),
  link_type: keyword(choice('runbook', 'package', 'image', 'other'), 'What is behind the link.'),
})

/** The keyword `release`: https://docs.gitlab.com/ci/yaml/#release */
export const release = record({
  tag_name: required(text({ filled: true }), 'The tag, made if it is missing.'),
  tag_message: keyword(text(), 'Message of a new tag.'),
  name: keyword(text(), 'Name of the release.'),
  description: required(text({ filled: true }), 'Description, or the file that holds it.'),
  ref: keyword(text({ pattern: /^[^\s~^:?*[\\]+$/, says: 'a commit, branch or tag' }), 'What a new tag points at.'),
  milestones: keyword(textOrTexts, 'Milestones of the release.'),
  released_at: keyword(
    checked(text(), (value, report) => {
      if (!/^\d{4}-\d\d-\d\d(?:T.*)?$/.test(value) || Number.isNaN(Date.parse(value))) {
        report('must be a date and time in ISO 8601 form')
      }
    }),
    'When the release is made.',
  ),
  assets: keyword(record({ links: required(list(link), 'Links of the release.') }), 'What belongs to the release.'),
})

/** The keyword `pages`: https://docs.gitlab.com/ci/yaml/#pages */
export const pages = either(
  boolean(),
  record({
    path_prefix: keyword(text(), 'Path under which this version is found.'),
    expire_in: keyword(duration(undefined, { never: true }), 'How long it is found.'),
    publish: keyword(text(), 'The directory to publish.'),
  }),
)

const stepSource = record(
  {
    git: keyword(
      record({
        url: required(text(), 'The repository.'),
        rev: required(text(), 'The revision.'),
        dir: keyword(text(), 'The directory.'),
        file: keyword(text(), 'The file.'),
      }),
      'A step in a git repository.',
    ),
    oci: keyword(
      record({
        registry: required(text(), 'The registry.'),
        repository: required(text(), 'The repository.'),
        tag: required(text(), 'The tag.'),
        dir: keyword(text(), 'The directory.'),
        file: keyword(text(), 'The file.'),
      }),
      'A step in a container registry.',
    ),
  },
  { oneOf: ['git', 'oci'] },
)

const stepReference = either(text({ filled: true }), stepSource)

const step = record(
  {
    name: required(text({ pattern: /^[A-Za-z_]\w*$/, says: 'a name of letters, digits and "_"' }), 'Name of the step.'),
    script: keyword(text({ filled: true }), 'Commands of the step.'),
    step: keyword(stepReference, 'A step defined elsewhere.'),
    func: keyword(stepReference, 'A function defined elsewhere.'),
    inputs: keyword(inputValues, 'Inputs of the step.'),
    env: keyword(plainMap(entries(text(), { says: 'must be a string' })), 'Environment variables of the step.'),
  },
  { oneOf: ['script', 'step', 'func'] },
)

/** The keyword `run`: https://docs.gitlab.com/ci/yaml/#run */
export const run = list(step)

/** The keyword `id_tokens`: https://docs.gitlab.com/ci/yaml/#id_tokens */
export const idTokens = plainMap(
  entries(
    record({ aud: required(either(text({ filled: true }), list(text(), { min: 1 })), 'For whom the token is.') }),
  ),
)

const secretSource = {
  vault: keyword(
    either(
      text({ filled: true }),
      record({
        engine: required(
          record({ name: required(text(), 'Kind of the engine.'), path: required(text(), 'Path of the engine.') }),
          'The engine.',
        ),
        path: required(text(), 'Path of the secret.'),
        field: required(text(), 'Field of the secret.'),
      }),
    ),
    'A secret of HashiCorp Vault.',
  ),
  gcp_secret_manager: keyword(
    record({
      name: required(text(), 'Name of the secret.'),
      version: keyword(text({ scalar: 'integer' }), 'Version of the secret.'),
    }),
    'A secret of Google Cloud.',
  ),
  azure_key_vault: keyword(
    record({ name: required(text(), 'Name of the secret.'), version: keyword(text(), 'Version of the secret.') }),
    'A secret of Azure.',
  ),
  aws_secrets_manager: keyword(
    either(
      text({ filled: true }),
      record({
        secret_id: required(text(), 'Id of the secret.'),
        version_id: keyword(text()),
        version_stage: keyword(text()),
        region: keyword(text()),
        role_arn: keyword(text()),
        role_session_name: keyword(text()),
        field: keyword(text()),
      }),
    ),
    'A secret of AWS.',
  ),
  akeyless: keyword(anything(), 'A secret of Akeyless.'),
  gitlab_secrets_manager: keyword(
    record({ name: required(text(), 'Name of the secret.'), source: keyword(text()) }),
    "A secret of GitLab's own manager.",
  ),
}

/** The keyword `secrets`: https://docs.gitlab.com/ci/yaml/#secrets */
export const secrets = plainMap(
  entries(
    record(
      {
        ...secretSource,
        file: keyword(boolean(), 'Whether the variable holds a path.'),
        token: keyword(text(), 'The token to show to the provider.'),
      },
      { oneOf: Object.keys(secretSource), requires: { gcp_secret_manager: 'token' } },
    ),
  ),
)

/** The keyword `identity`: https://docs.gitlab.com/ci/yaml/#identity */
export const identity = choice('google_cloud')

/** Taken for what it is: only a scanner of the original reads it. */
export const dastConfiguration = record(
  {
    site_profile: keyword(text(), 'Profile of the site.'),
    scanner_profile: keyword(text(), 'Profile of the scanner.'),
  },
  { mayBeEmpty: true },
)
