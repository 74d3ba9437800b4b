/** Who has signed in, and the form for who has not. */

import { signal } from '@preact/signals'
import { useEffect, useState } from 'preact/hooks'
import { apart, fieldOf } from './apart.js'
import { ApiError, ask, keepToken, own, refusals, token } from './api.js'
import type { User } from './types.js'

/** The person; null: nobody, who is asked to sign in; undefined: not known yet. */
export const person = signal<User | null | undefined>(undefined)

/** Why it is not known who has signed in. */
const unknown = signal('')

const againMs = 2000

/** Finds out who has signed in; asks again until the server has told. */
export async function lookWho(): Promise<void> {
  try {
    person.value = await ask<User>('/api/v4/user')
    unknown.value = ''
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    if (error.status === 401 || error.status === 403) person.value = null
    else {
      unknown.value = error.message
      setTimeout(() => apart(lookWho()), againMs)
    }
  }
}

/** Until it is known who has signed in: nothing for a moment, and then why. */
export function Unreached() {
  if (unknown.value === '') return null
  return (
    <div class="empty" role="alert">
      <h1>The server does not answer</h1>
      <p>{unknown.value}. This page asks again by itself, and shows what you came for as soon as there is an answer.</p>
    </div>
  )
}

/** Ends the session, or forgets the token. */
export async function signOut(): Promise<void> {
  let out: { sign_out_url?: string } | undefined
  if (token.value) keepToken('')
  else out = await ask<typeof out>(`${own}/session`, { method: 'DELETE' }).catch(() => undefined)
  // The provider that has vouched for the person ends its session too, where that is set so.
  if (out?.sign_out_url) location.assign(out.sign_out_url)
  person.value = null
}

/** Goes to an OpenID provider, and comes back to the address that is shown now. */
async function goToProvider(name: string): Promise<void> {
  const to = location.pathname + location.search + location.hash
  const { url } = await ask<{ url: string }>(`${own}/session/openid/${name}`, { method: 'POST', body: { to } })
  location.assign(url)
}

interface Ways {
  openid: { name: string; label: string }[]
}

/** A button for each OpenID provider; nothing where there is none. */
function Providers({ refused }: { refused: (why: string) => void }) {
  const [ways, setWays] = useState<Ways['openid']>([])
  useEffect(() => {
    apart(ask<Ways>(`${own}/sign-in`).then(({ openid }) => setWays(openid)))
  }, [])
  if (ways.length === 0) return null
  const go = (name: string) => apart(goToProvider(name).catch((error: Error) => refused(error.message)))
  return (
    <div class="row">
      {ways.map(({ name, label }) => (
        <button key={name} type="button" onClick={() => go(name)}>
          Sign in with {label}
        </button>
      ))}
    </div>
  )
}

async function signIn(form: FormData): Promise<void> {
  const field = (name: string) => fieldOf(form, name)
  const pasted = field('token')
  if (pasted) keepToken(pasted)
  else {
    keepToken('')
    await ask(`${own}/session`, { method: 'POST', body: { username: field('username'), password: field('password') } })
  }
  person.value = await ask<User>('/api/v4/user').catch((error) => {
    keepToken('')
    throw error
  })
}

/** The form, instead of any view; the address stays, and its view is shown when somebody has signed in. */
export function SignIn() {
  const [byToken, setByToken] = useState(false)
  const [refusal, setRefusal] = useState('')
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    setRefusal('')
    try {
      await signIn(new FormData(event.currentTarget as HTMLFormElement))
    } catch (error) {
      setRefusal(
        error instanceof ApiError && error.status === 401 ? 'That is not right. Try again.' : (error as Error).message,
      )
    }
  }
  return (
    <form class="sign-in" onSubmit={(event) => apart(submit(event))}>
      <h1>Sign in</h1>
      {byToken ? (
        <label>
          Access token
          <input name="token" type="password" autocomplete="off" required />
          <span class="dim">Kept in this tab only. An administrator makes one by: signalbox token create</span>
        </label>
      ) : (
        <>
          <label>
            User name
            <input name="username" autocomplete="username" required />
          </label>
          <label>
            Password
            <input name="password" type="password" autocomplete="current-password" required />
          </label>
        </>
      )}
      {refusal && (
        <p class="refused" role="alert">
          {refusal}
        </p>
      )}
      <div class="row">
        <button type="submit" class="main">
          Sign in
        </button>
        <button type="button" class="quiet" onClick={() => setByToken(!byToken)}>
          {byToken ? 'With a password instead' : 'With an access token instead'}
        </button>
      </div>
      <Providers refused={setRefusal} />
    </form>
  )
}

/** Asks again who somebody is when the server has refused: a session may have ended in mid-action. */
export function useRefusals(): void {
  useEffect(() => {
    apart(lookWho())
    return refusals.subscribe((count) => {
      if (count > 0 && person.peek()) person.value = null
    })
  }, [])
}
