/** Whether the audit log is as it was written: every entry is there, and follows the one before. */
import { type AuditEntry, boundaryProof, digestOf, keyNameOf } from '../audit.js'
import type { Core } from '../core.js'
import { auditBoundary, auditHead, listAuditChain } from '../store/audit.js'

/** What a look at the whole chain has shown. */
export interface AuditVerdict {
  valid: boolean
  entries: number
  /** Entries at the beginning that were made with a key file that another has taken the place of: nobody can tell without it. */
  unknown: number
  /** Where it goes wrong first, and how. */
  fault: { id: number; what: string } | null
  /** The last entry, to be kept elsewhere: a chain that was cut back to an earlier end does not show by itself. */
  head: { id: number; digest: string }
}

const atOnce = 500

/**
 * Reads the chain from its beginning. `known`: an entry as it was told earlier, which must be there still. What is appended
 * meanwhile is left out.
 */
export async function verifyAudit(core: Core, known?: { id: number; digest: string }): Promise<AuditVerdict> {
  const head = await auditHead(core.store.read)
  const keyName = keyNameOf(core.keys)
  const boundary = await provenBoundary(core)
  let before = { id: 0, digest: '' }
  let unknown = 0
  const verdict = (fault: AuditVerdict['fault']) => ({ valid: !fault, entries: before.id, unknown, fault, head })
  while (before.id < head.id) {
    const entries = await listAuditChain(core.store.read, { after: before.id, to: head.id }, atOnce)
    if (entries.length === 0) return verdict({ id: before.id + 1, what: 'is missing, and all that follow' })
    for (const entry of entries) {
      if (entry.id !== before.id + 1) return verdict({ id: before.id + 1, what: 'is missing' })
      const foreign = entry.keyName !== keyName && unknown === before.id && entry.id <= boundary.id
      if (foreign) unknown++
      else if (!fits(core, entry, before.digest)) return verdict({ id: entry.id, what: 'is not as it was written' })
      if (boundary.id === entry.id && boundary.digest !== entry.digest) {
        return verdict({ id: entry.id, what: 'is not the last one that was there when the key file was changed' })
      }
      if (known?.id === entry.id && known.digest !== entry.digest) {
        return verdict({ id: entry.id, what: 'is not the one that was told earlier' })
      }
      before = entry
    }
  }
  if (before.digest !== head.digest) return verdict({ id: head.id, what: 'is not the last one that was written' })
  if (known !== undefined && known.id > head.id) return verdict({ id: known.id, what: 'is missing' })
  return verdict(null)
}

/** Up to where entries may be of another key file. Whoever has only the database cannot make it up. */
async function provenBoundary(core: Core): Promise<{ id: number; digest: string }> {
  const { proof, ...boundary } = await auditBoundary(core.store.read)
  return proof === boundaryProof(core.keys, boundary) ? boundary : { id: 0, digest: '' }
}

function fits(core: Core, entry: AuditEntry, before: string): boolean {
  return digestOf(core.keys, entry, before) === entry.digest
}
