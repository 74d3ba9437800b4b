/** Protected branches and tags, as gitlab lib/api/entities/{protected_branch,protected_tag}.rb show them. */
import type { Protection, ProtectionLevel } from '../../core/protection.js'

const descriptions: Record<ProtectionLevel, string> = {
  0: 'No one',
  30: 'Developers + Maintainers',
  40: 'Maintainers',
  60: 'Instance admins',
}

function access(id: number, access_level: ProtectionLevel): object {
  return { id, access_level, access_level_description: descriptions[access_level], user_id: null, group_id: null }
}

export function toProtectedBranch({ id, name, push, merge, force }: Protection): object {
  return {
    id,
    name,
    push_access_levels: [access(id, push)],
    merge_access_levels: [access(id, merge)],
    unprotect_access_levels: [],
    allow_force_push: force,
    code_owner_approval_required: false,
    inherited: false,
  }
}

export function toProtectedTag({ id, name, push }: Protection): object {
  return { name, create_access_levels: [access(id, push)] }
}
