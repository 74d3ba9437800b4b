/** Users set, change and delete the variables of a project, a group or the instance. */
import { type CiVariable, isMaskable, type VariableOwner } from '../ci-variable.js'
import type { Core } from '../core.js'
import { SignalboxError, wrongField } from '../errors.js'
import { record } from '../steps/record.js'
import { countVariables, deleteVariable as deleteRow, findVariables, saveVariable } from '../store/variables.js'
import type { Tx } from '../store/write.js'

/** What people set of a variable; what is absent stays, or has GitLab's default in a new one. */
export interface VariableSettings {
  value?: string
  file?: boolean
  protected?: boolean
  masked?: boolean
  raw?: boolean
  environmentScope?: string
  description?: string | null
}

/** A variable with its value as it was set. */
export type OpenVariable = Omit<CiVariable, 'value'> & { value: string }

const longestKey = 255
const longestValue = 10_000
const longestScope = 255
const longestDescription = 255
const mostVariables = 8000

/**
 * Returns the variable. `hidden`: it is masked, and its value is never shown. Throws `invalid` with `details.field` for a
 * key, value or scope that cannot be, or a key that has this scope already.
 */
export function createVariable(
  core: Core,
  owner: VariableOwner,
  input: VariableSettings & { key: string; value: string; hidden?: boolean },
): Promise<OpenVariable> {
  return core.store.write(async (tx) => {
    if ((await countVariables(tx, owner)) >= mostVariables) throw wrongField('base', `may be ${mostVariables} at most`)
    const hidden = input.hidden ?? false
    const blank: OpenVariable = {
      id: 0,
      ownerType: owner.type,
      ownerId: owner.id,
      key: input.key,
      environmentScope: '*',
      value: '',
      file: 0,
      protected: 0,
      masked: 0,
      hidden: flag(hidden),
      raw: 0,
      description: null,
    }
    const variable = changed(blank, hidden ? { ...input, masked: true } : input)
    const { id: _, ...row } = variable
    await requireFree(tx, owner, variable)
    await saveVariable(tx, { ...row, value: sealed(core, variable.value) })
    await note(core, tx, variable, 'made')
    return variable
  })
}

/**
 * Returns the variable as it is now. `scope` picks among equal keys. Throws as `createVariable` does, and `not_found`;
 * `conflict` when the key alone says too little.
 */
export function updateVariable(
  core: Core,
  owner: VariableOwner,
  input: { key: string; scope: string | undefined; changes: VariableSettings },
): Promise<OpenVariable> {
  return core.store.write(async (tx) => {
    const before = opened(core, pick(await findVariables(tx, owner, input.key), input.scope))
    if (before.hidden === 1 && input.changes.masked === false)
      throw wrongField('masked', 'cannot be taken from a hidden one')
    const variable = changed(before, input.changes)
    await requireFree(tx, owner, variable)
    await saveVariable(tx, { ...variable, value: sealed(core, variable.value) })
    await note(core, tx, variable, 'changed')
    return variable
  })
}

/** Throws `not_found`; `conflict` when the key alone says too little. */
export function deleteVariable(
  core: Core,
  owner: VariableOwner,
  input: { key: string; scope: string | undefined },
): Promise<void> {
  return core.store.write(async (tx) => {
    const variable = pick(await findVariables(tx, owner, input.key), input.scope)
    await deleteRow(tx, variable.id)
    await note(core, tx, variable, 'deleted')
  })
}

/** The one variable that a key, and a scope if given, name. Throws `not_found`, `conflict`. */
export function pick(found: readonly CiVariable[], scope: string | undefined): CiVariable {
  const fitting = scope === undefined ? found : found.filter((one) => one.environmentScope === scope)
  if (fitting.length > 1) throw new SignalboxError('conflict', 'several variables have this key, each with its scope')
  if (!fitting[0]) throw new SignalboxError('not_found', 'no such variable')
  return fitting[0]
}

/** The variable with its value. */
export function opened(core: Core, variable: CiVariable): OpenVariable {
  return { ...variable, value: core.keys.open(variable.value).toString('utf8') }
}

/** Written down: which variable, and never its value. */
function note(
  core: Core,
  tx: Tx,
  { ownerType, ownerId, key, environmentScope }: Omit<CiVariable, 'value' | 'id'>,
  what: 'made' | 'changed' | 'deleted',
): Promise<void> {
  return record(core, tx, {
    kind: 'variable.changed',
    ...(ownerType === 'project' ? { projectId: ownerId } : {}),
    data: { owner: ownerType, owner_id: ownerId, key, scope: environmentScope, what },
  })
}

function sealed(core: Core, value: string): Buffer {
  return core.keys.seal(Buffer.from(value))
}

/** The variable with these settings. Rules: gitlab app/models/concerns/ci/{has_variable,maskable}.rb. */
function changed(before: OpenVariable, settings: VariableSettings): OpenVariable {
  const after: OpenVariable = {
    ...before,
    value: settings.value ?? before.value,
    environmentScope: settings.environmentScope ?? before.environmentScope,
    description: settings.description === undefined ? before.description : settings.description,
    file: settings.file === undefined ? before.file : flag(settings.file),
    protected: settings.protected === undefined ? before.protected : flag(settings.protected),
    masked: settings.masked === undefined ? before.masked : flag(settings.masked),
    raw: settings.raw === undefined ? before.raw : flag(settings.raw),
  }
  if (!/^[a-zA-Z0-9_]+$/.test(after.key)) throw wrongField('key', "can contain only letters, digits and '_'.")
  if (after.key.length > longestKey) throw tooLong('key', longestKey)
  if (after.value.length > longestValue) throw tooLong('value', longestValue)
  if (after.value.includes('\0')) throw wrongField('value', 'is invalid')
  if (after.masked === 1 && !isMaskable(after.value, after.raw === 1)) throw wrongField('value', 'is invalid')
  if (!/^[\w\-/${}. *]+$/.test(after.environmentScope)) {
    throw wrongField(
      'environment_scope',
      "can contain only letters, digits, '-', '_', '/', '$', '{', '}', '.', '*' and spaces",
    )
  }
  if (after.environmentScope.length > longestScope) throw tooLong('environment_scope', longestScope)
  if ((after.description?.length ?? 0) > longestDescription) throw tooLong('description', longestDescription)
  return after
}

async function requireFree(tx: Tx, owner: VariableOwner, variable: OpenVariable): Promise<void> {
  const equal = await findVariables(tx, owner, variable.key)
  const taken = equal.some((one) => one.id !== variable.id && one.environmentScope === variable.environmentScope)
  if (taken) throw wrongField('key', `(${variable.key}) has already been taken`)
}

function flag(value: boolean): 0 | 1 {
  return value ? 1 : 0
}

function tooLong(field: string, most: number): SignalboxError {
  return wrongField(field, `is too long (maximum is ${most} characters)`)
}
