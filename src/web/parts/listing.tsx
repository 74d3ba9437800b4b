/** A list that can be added to and taken from, as data: where it is asked for, its columns, and the fields of what is added. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { useData } from '../data.js'
import type { Change } from '../live.js'
import { Action } from './action.js'
import { Empty, Loading, Refused, Table } from './bits.js'
import { type Field, Form } from './form.js'

/** What the API tells of one thing, by the names that it has for these fields. */
// biome-ignore lint/suspicious/noExplicitAny: each list has other fields, and names those that it shows.
export type Row = Record<string, any>

export interface List {
  title: string
  about: string
  path: string
  /** The query of what is listed. */
  query?: string
  columns: readonly (readonly [label: string, show: (row: Row) => ComponentChildren])[]
  /** What people call one of them, as in `Delete NAME`. */
  nameOf: (row: Row) => string
  /** What names it in addresses; default its id. */
  keyOf?: (row: Row) => string
  fields?: readonly Field[]
  toBody?: (values: Record<string, unknown>) => unknown
  /** The label of the button that adds one. */
  add?: string
  /** What is shown once of what was made: a token. */
  made?: (answer: Row) => ComponentChildren
  /** Fields that can be changed later; their values are those of the row. */
  edits?: readonly Field[]
  fixed?: boolean
  actions?: (row: Row, reload: () => void) => ComponentChildren
  empty: ComponentChildren
  changes?: (change: Change) => boolean
}

/** The list. */
export function Listing({ list }: { list: List }) {
  const { data, error, reload } = useData<Row[]>(`${list.path}?per_page=100${list.query ?? ''}`, list.changes)
  const [adding, setAdding] = useState(false)
  const [made, setMade] = useState<Row>()
  const [editing, setEditing] = useState<string>()
  const keyOf = list.keyOf ?? ((row: Row) => String(row.id))
  const pathOf = (row: Row) => `${list.path}/${encodeURIComponent(keyOf(row))}`
  const edited = data?.find((row) => keyOf(row) === editing)
  const acts = !list.fixed || list.edits || list.actions
  return (
    <section class="stack" aria-label={list.title}>
      <div class="head">
        <h2>{list.title}</h2>
        {list.fields && (
          <button type="button" aria-expanded={adding} onClick={() => setAdding(!adding)}>
            {list.add ?? 'Add'}
          </button>
        )}
      </div>
      <p class="dim">{list.about}</p>
      {made && list.made ? <div class="panel">{list.made(made)}</div> : null}
      {adding && list.fields ? (
        <Form
          fields={list.fields}
          path={list.path}
          label={list.add ?? 'Add'}
          {...(list.toBody ? { toBody: list.toBody } : {})}
          onDone={(answer) => {
            setMade(answer as Row)
            setAdding(false)
            reload()
          }}
        />
      ) : null}
      {edited && list.edits ? (
        <Form
          key={editing}
          fields={list.edits.map((field) => ({ ...field, value: edited[field.name] }))}
          path={pathOf(edited)}
          method="PUT"
          label={`Save ${list.nameOf(edited)}`}
          {...(list.toBody ? { toBody: list.toBody } : {})}
          onDone={() => {
            setEditing(undefined)
            reload()
          }}
        />
      ) : null}
      <Refused error={error} />
      {!data && !error ? <Loading /> : null}
      {data?.length === 0 ? <Empty title={`No ${list.title.toLowerCase()}`}>{list.empty}</Empty> : null}
      {data && data.length > 0 ? (
        <Table caption={list.title} columns={[...list.columns.map(([label]) => label), ...(acts ? ['Actions'] : [])]}>
          {data.map((row) => (
            <tr key={keyOf(row)}>
              {list.columns.map(([label, show]) => (
                <td key={label}>{show(row)}</td>
              ))}
              {acts ? (
                <td>
                  <span class="row">
                    {list.actions?.(row, reload)}
                    {list.edits ? (
                      <button
                        type="button"
                        aria-label={`Edit ${list.nameOf(row)}`}
                        onClick={() => setEditing(editing === keyOf(row) ? undefined : keyOf(row))}
                      >
                        Edit
                      </button>
                    ) : null}
                    {list.fixed ? null : (
                      <Action
                        label="Delete"
                        name={`Delete ${list.nameOf(row)}`}
                        path={pathOf(row)}
                        method="DELETE"
                        kind="danger"
                        sure
                        onDone={reload}
                      />
                    )}
                  </span>
                </td>
              ) : null}
            </tr>
          ))}
        </Table>
      ) : null}
    </section>
  )
}
