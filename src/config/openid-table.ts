/** `[[openid]]` of the settings: who vouches for people that sign in, and what follows from their groups there. */
import * as z from 'zod/mini'
import { type LevelName, levels } from '../core/member.js'
import type { OpenIdSettings } from '../core/openid.js'
import { oneOf, refuse, setting, table, text, trueOrFalse } from './kinds.js'
import { SettingsError } from './settings.js'

const levelNames = Object.keys(levels) as LevelName[]
const filled = () => text().check(z.minLength(1, 'must not be empty'))
const namesMessage = 'must be a list of texts'

const roleTable = table({
  claim: setting(filled(), 'A group of the provider.'),
  group: setting(filled(), 'Path of a group here.'),
  level: setting(oneOf(levelNames), 'What its members are in that group, and in all below it.'),
})

const providerTable = table({
  name: setting(
    z
      .string('must be a text')
      .check(z.regex(/^[a-z0-9][a-z0-9-]{0,30}$/, 'must be 1 to 31 of a-z, 0-9 and "-", and not begin with "-"')),
    'What it is called in addresses: it sends people back to `EXTERNAL_URL/-/openid/NAME/callback`.',
  ),
  label: setting(z.optional(filled()), 'What its button says.', { default: 'the name' }),
  issuer: setting(
    text().check(
      z.refine(isIssuer, 'must be an https URL without query and fragment; http is for this machine only (127.0.0.1)'),
    ),
    'The address of the provider, exactly as it names itself.',
  ),
  client_id: setting(filled(), 'What we are called there.'),
  client_secret: setting(z.optional(filled()), 'Our secret there, better kept in the environment.', {
    default: 'none: a public client',
  }),
  client_secret_env: setting(z.optional(filled()), 'Name of the variable of the environment with that secret.', {
    default: 'none',
  }),
  scopes: setting(
    z.prefault(
      z.array(z.string(namesMessage).check(z.regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, namesMessage)), namesMessage),
      ['openid', 'profile', 'email'],
    ),
    'What we ask for; `openid` must be among it.',
  ),
  sign_up: setting(z.prefault(trueOrFalse(), true), 'Whoever comes for the first time gets a user.'),
  link_by_email: setting(
    z.prefault(trueOrFalse(), false),
    'Who comes for the first time with the verified address of a user is that user. Only for providers that you trust with it.',
  ),
  first_is_admin: setting(
    z.prefault(trueOrFalse(), false),
    'The first person of all who comes by a provider becomes administrator.',
  ),
  admin_group: setting(z.optional(filled()), 'Members of this group of the provider are administrators, others not.', {
    default: 'none: it decides nothing',
  }),
  groups_claim: setting(z.prefault(filled(), 'groups'), "The claim with the person's groups."),
  roles: setting(
    z.prefault(z.array(roleTable, 'must be [[openid.roles]] tables'), []),
    'Levels that follow from groups of the provider, with each sign-in.',
  ),
  sign_out: setting(z.prefault(trueOrFalse(), false), 'Who signs out is sent to the provider to sign out there too.'),
}).check((ctx) => {
  const { client_secret: secret, client_secret_env: variable, scopes } = ctx.value
  if (secret !== undefined && variable !== undefined) refuse(ctx, 'is given twice', ['client_secret_env'])
  if (!scopes.includes('openid')) refuse(ctx, 'must have openid in it', ['scopes'])
})

export const openIdTables = z.array(providerTable, 'must be [[openid]] tables').check((ctx) => {
  for (const key of ['name', 'issuer'] as const) {
    const given = ctx.value.map((one) => one[key])
    const twice = given.findIndex((one, i) => given.indexOf(one) < i)
    if (twice !== -1) refuse(ctx, 'is another provider’s', [twice, key])
  }
})

/** The providers as the program takes them. Throws `SettingsError` for a variable that is not set. */
export function openIdOf(given: z.infer<typeof openIdTables>, env: NodeJS.ProcessEnv): OpenIdSettings[] {
  return given.map((one, i) => ({
    name: one.name,
    label: one.label ?? one.name,
    issuer: new URL(one.issuer).href,
    clientId: one.client_id,
    clientSecret: one.client_secret ?? secretOf(one.client_secret_env, i, env),
    scopes: one.scopes,
    groupsClaim: one.groups_claim,
    signOut: one.sign_out,
    rules: {
      signUp: one.sign_up,
      linkByEmail: one.link_by_email,
      firstIsAdmin: one.first_is_admin,
      adminGroup: one.admin_group,
      roles: one.roles,
    },
  }))
}

function secretOf(variable: string | undefined, i: number, env: NodeJS.ProcessEnv): string {
  const secret = variable === undefined ? '' : env[variable]
  if (secret !== undefined && (variable === undefined || secret !== '')) return secret
  throw new SettingsError(`openid[${i}].client_secret_env`, `the variable ${variable} is not set`)
}

/** OpenID Connect Discovery §3; what is said in plain text must not leave the machine. */
function isIssuer(given: string): boolean {
  if (!URL.canParse(given)) return false
  const { protocol, hostname, search, hash, username } = new URL(given)
  const isHere = hostname === 'localhost' || hostname === '[::1]' || /^127\./.test(hostname)
  return search === '' && hash === '' && username === '' && (protocol === 'https:' || (protocol === 'http:' && isHere))
}
