/** What a job has left: to be downloaded, never run here. */

import { useState } from 'preact/hooks'
import { apart } from '../apart.js'
import { send } from '../api.js'
import { Empty } from '../parts/bits.js'
import type { JobFields } from './job.js'

interface Props {
  projectId: number
  id: number
  files: JobFields['artifacts']
}

/** The list. A token cannot go along with a link, so that files are fetched first and then saved. */
export function Artifacts({ projectId, id, files }: Props) {
  const [refusal, setRefusal] = useState('')
  if (files.length === 0) return <Empty title="The job has left no artifacts" />
  const save = async (file: JobFields['artifacts'][number]) => {
    setRefusal('')
    try {
      const type = file.file_type === 'archive' ? '' : `?file_type=${encodeURIComponent(file.file_type)}`
      const response = await send(`/api/v4/projects/${projectId}/jobs/${id}/artifacts${type}`)
      const url = URL.createObjectURL(await response.blob())
      const link = document.createElement('a')
      Object.assign(link, { href: url, download: file.filename, target: '_self' })
      link.click()
      URL.revokeObjectURL(url)
    } catch (error) {
      setRefusal((error as Error).message)
    }
  }
  return (
    <>
      <ul class="plain">
        {files.map((file) => (
          <li key={file.file_type} class="row">
            <button type="button" onClick={() => apart(save(file))}>
              Download
            </button>
            <span class="code">{file.filename}</span>
            <span class="dim">
              {file.file_type}, {file.size.toLocaleString()} bytes
            </span>
          </li>
        ))}
      </ul>
      {refusal && (
        <p class="refused" role="alert">
          {refusal}
        </p>
      )}
    </>
  )
}
