/** What a job has left: a look into its archive, and every file to be downloaded. Nothing of it is ever run here. */

import { useEffect, useState } from 'preact/hooks'
import { useLocation } from 'preact-iso'
import { apart } from '../apart.js'
import { send } from '../api.js'
import { useData } from '../data.js'
import { Empty, Loading, Refused, Table } from '../parts/bits.js'
import type { JobFields } from './job.js'
import { bytesOf, Preview } from './preview.js'

interface Props {
  projectId: number
  id: number
  files: JobFields['artifacts']
}

interface Entry {
  name: string
  path: string
  type: string
  size?: number
}

/** The files, and what is in the archive: the folder or file that the address names. */
export default function Artifacts({ projectId, id, files }: Props) {
  const [refusal, setRefusal] = useState('')
  if (files.length === 0) return <Empty title="The job has left no artifacts" />
  const base = `/api/v4/projects/${projectId}/jobs/${id}/artifacts`
  const save = (path: string, name: string) => {
    setRefusal('')
    apart(download(path, name).catch((error: Error) => setRefusal(error.message)))
  }
  return (
    <>
      <ul class="plain">
        {files.map((file) => (
          <li key={file.file_type} class="row">
            <button
              type="button"
              aria-label={`Download ${file.filename}`}
              onClick={() =>
                save(
                  file.file_type === 'archive' ? base : `${base}?file_type=${encodeURIComponent(file.file_type)}`,
                  file.filename,
                )
              }
            >
              Download
            </button>
            <span class="code">{file.filename}</span>
            <span class="dim">
              {file.file_type}, {bytesOf(file.size)}
            </span>
          </li>
        ))}
      </ul>
      {refusal && (
        <p class="refused" role="alert">
          {refusal}
        </p>
      )}
      {files.some((file) => file.file_type === 'archive') ? <Browser base={base} save={save} /> : null}
    </>
  )
}

/** A token cannot go along with a link, so that files are fetched first and then saved. */
async function download(path: string, name: string): Promise<void> {
  const response = await send(path)
  const url = URL.createObjectURL(await response.blob())
  const link = document.createElement('a')
  Object.assign(link, { href: url, download: name, target: '_self' })
  link.click()
  URL.revokeObjectURL(url)
}

const inPath = (path: string) => path.split('/').map(encodeURIComponent).join('/')

function Browser({ base, save }: { base: string; save: (path: string, name: string) => void }) {
  const { query, path: here } = useLocation()
  const folder = query.path ?? ''
  const { data, error } = useData<Entry[]>(
    `${base}/tree?per_page=100&path=${encodeURIComponent(folder.replace(/\/$/, ''))}`,
  )
  const [page, setPage] = useState<Entry[]>([])
  const to = (changes: Record<string, string>) =>
    `${here}?${new URLSearchParams({ tab: 'artifacts', ...(folder ? { path: folder } : {}), ...changes })}`
  // A folder of more than a hundred is read on, page by page, when somebody asks.
  const more = async () => {
    const at = Math.floor((100 + page.length) / 100) + 1
    const answer = await send(
      `${base}/tree?per_page=100&page=${at}&path=${encodeURIComponent(folder.replace(/\/$/, ''))}`,
    )
    setPage([...page, ...((await answer.json()) as Entry[])])
  }
  useEffect(() => setPage([]), [folder])
  if (error && error.status !== 0) return <Refused error={error} />
  if (!data) return <Loading />
  const parts = folder.split('/').filter(Boolean)
  const entries = [...data, ...page]
  const shown = entries.find((entry) => entry.path === query.file)
  return (
    <>
      <nav class="crumbs code" aria-label="Folder">
        <a href={to({ path: '' })}>artifacts</a>
        {parts.map((part, i) => (
          <span key={i}>
            {' / '}
            <a href={to({ path: `${parts.slice(0, i + 1).join('/')}/` })}>{part}</a>
          </span>
        ))}
      </nav>
      <Table caption="Files" columns={['Name', 'Size', 'Actions']}>
        {entries.map((entry) => (
          <tr key={entry.path}>
            <td class="code">
              {entry.type === 'directory' ? (
                <a href={to({ path: entry.path })}>{entry.name}/</a>
              ) : (
                <a href={to({ file: entry.path })} aria-current={entry === shown ? 'true' : undefined}>
                  {entry.name}
                </a>
              )}
            </td>
            <td class="figure">{entry.size === undefined ? '' : bytesOf(entry.size)}</td>
            <td>
              {entry.type === 'file' && (
                <button
                  type="button"
                  aria-label={`Download ${entry.name}`}
                  onClick={() => save(`${base}/${inPath(entry.path)}`, entry.name)}
                >
                  Download
                </button>
              )}
            </td>
          </tr>
        ))}
      </Table>
      {entries.length > 0 && entries.length % 100 === 0 ? (
        <button type="button" onClick={() => apart(more())}>
          More
        </button>
      ) : null}
      {shown ? (
        <Preview key={shown.path} name={shown.name} size={shown.size ?? 0} path={`${base}/${inPath(shown.path)}`} />
      ) : null}
    </>
  )
}
