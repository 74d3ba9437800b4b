/** What several keywords are made of. */
import { isNever, parseDuration, seconds } from '../duration.js'
import { type Expression, ExpressionError, parseExpression } from '../expression.js'
import type { PlanImage, PlanService } from '../job-definition.js'
import { limits } from '../limits.js'
import {
  anything,
  boolean,
  checked,
  choice,
  either,
  entries,
  flattened,
  integer,
  keyword,
  list,
  mapped,
  type RecordOf,
  record,
  required,
  type Shape,
  text,
} from '../shape.js'
import { toPlanVariables, type VariableValue } from '../variables.js'

const lines = list(text(), { nested: limits.nestedLists, says: 'a list of strings' })

/** A text, or texts in lists inside lists (lib/gitlab/ci/config/entry/commands.rb). */
export const script = either(
  mapped(text(), (line) => [line]),
  lines,
)

/** The same, but no blank text alone. */
export const filledScript = either(
  mapped(text({ filled: true }), (line) => [line]),
  lines,
)

/** A list of strings. */
export const texts = list(text())

/** One text or a list of them. */
export const textOrTexts = either(
  mapped(text(), (one) => [one]),
  texts,
)

/** A bound of durations, for people. */
export const oneWeek = { seconds: seconds.week, text: 'one week' }
/** A bound of durations, for people. */
export const oneMonth = { seconds: seconds.month, text: 'one month' }

/** The text of a duration, no longer than a limit. */
export function duration(limit?: { seconds: number; text: string }, options: { never?: boolean } = {}): Shape<string> {
  const shape = checked(text(), (value, report) => {
    if (options.never === true && isNever(value)) return
    const length = parseDuration(value)
    if (length === undefined) report(`must be a duration such as "1h 30m", not ${JSON.stringify(value.slice(0, 80))}`)
    else if (limit !== undefined && length > limit.seconds) report(`must not exceed the limit of ${limit.text}`)
  })
  return { ...shape, expects: 'a duration in a string, such as "1h 30m"' }
}

/** The same in seconds. */
export function wholeSeconds(limit?: { seconds: number; text: string }): Shape<number> {
  return mapped(duration(limit), (value) => Math.round(parseDuration(value) ?? 0))
}

/** An expression, as it is written and as it is evaluated. */
export interface Condition {
  source: string
  tree: Expression
}

/** Returns the shape of an expression. `inputs`: it may refer to inputs. */
export function expression(options: { inputs?: boolean } = {}): Shape<Condition> {
  const shape = mapped(text(), (source, report): Condition => {
    try {
      return { source, tree: parseExpression(source, options) }
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error
      report(`invalid expression syntax: ${error.message}`)
      return { source, tree: { kind: 'constant', value: false } }
    }
  })
  return { ...shape, expects: 'a string of expression syntax' }
}

const scalar = text({ scalar: 'any' })
const plainValue = mapped(scalar, (value): VariableValue => ({ value }))

/** A variable without a value is the empty text. */
const variableEntries = { says: 'variable definition must be either a string or a map', nullIsEmpty: true }

function variableRecord<T extends { value?: string; expand?: boolean }>(shape: Shape<T>): Shape<VariableValue> {
  return mapped(shape, ({ value, expand, ...rest }): VariableValue => {
    return { value: value ?? '', ...(expand === undefined ? {} : { raw: !expand }), ...rest }
  })
}

/** Global variables may also say how a form for a manual run shows them (lib/gitlab/ci/config/entry/variable.rb). */
export const globalVariables = entries(
  either(
    plainValue,
    variableRecord(
      checked(
        record(
          {
            value: keyword(scalar, 'The value.'),
            description: keyword(text(), 'What the form for a manual run shows.'),
            options: keyword(texts, 'The values to choose from.'),
            expand: keyword(boolean(), 'Whether references in the value are expanded.'),
          },
          { mayBeEmpty: true },
        ),
        ({ value, options }, report) => {
          if (options !== undefined && !options.includes(value ?? '')) report('value must be one of options', 'value')
        },
      ),
    ),
  ),
  variableEntries,
)

/** The keyword `variables` of a job: https://docs.gitlab.com/ci/yaml/#variables */
export const jobVariables = entries(
  either(
    plainValue,
    variableRecord(
      record(
        {
          value: keyword(scalar, 'The value.'),
          expand: keyword(boolean(), 'Whether references in the value are expanded.'),
        },
        { mayBeEmpty: true },
      ),
    ),
  ),
  variableEntries,
)

/** Where only plain values are taken, and null is refused like a map: rules and services. */
export const plainVariables = entries(plainValue, { says: 'must be a string' })

const pullPolicy = choice('always', 'never', 'if-not-present')

const port = either(
  integer(),
  record({
    number: required(integer(), 'Number of the port.'),
    protocol: keyword(choice('http', 'https'), 'How it is spoken to.'),
    name: keyword(text(), 'Name of the port.'),
  }),
)

const imageKeys = {
  name: required(text({ filled: true }), 'Name of the image.'),
  entrypoint: keyword(texts, 'Command that replaces the entrypoint of the image.'),
  pull_policy: keyword(
    either(
      mapped(pullPolicy, (one) => [one]),
      list(pullPolicy, { min: 1 }),
    ),
    'When the runner fetches the image.',
  ),
  docker: keyword(
    record({
      platform: keyword(text({ filled: true }), 'Architecture to fetch.'),
      user: keyword(text({ filled: true, max: 255 }), 'User inside the container.'),
    }),
    'Options of the docker executor.',
  ),
  kubernetes: keyword(
    record({ user: keyword(text({ scalar: 'integer' }), 'User inside the container.') }),
    'Options of the kubernetes executor.',
  ),
  ports: keyword(list(port, flattened), 'Ports to expose.'),
}

type ImageMap = RecordOf<typeof imageKeys>

function toImage({ name, entrypoint, pull_policy: pullPolicy, docker, kubernetes }: ImageMap): PlanImage {
  const executorOpts = {
    ...(docker === undefined ? {} : { docker }),
    ...(kubernetes === undefined ? {} : { kubernetes }),
  }
  return {
    name,
    ...(entrypoint === undefined ? {} : { entrypoint }),
    ...(pullPolicy === undefined ? {} : { pullPolicy }),
    ...(docker === undefined && kubernetes === undefined ? {} : { executorOpts }),
  }
}

const imageName = mapped(text({ filled: true }), (name): PlanImage => ({ name }))

/** The keyword `image`: https://docs.gitlab.com/ci/yaml/#image */
export const image = either(imageName, mapped(record(imageKeys), toImage))

/** The keyword `services`: https://docs.gitlab.com/ci/yaml/#services */
export const services = list(
  either(
    mapped(text({ filled: true }), (name): PlanService => ({ name })),
    mapped(
      record({
        ...imageKeys,
        alias: keyword(text(), 'Host names of the service, separated by blanks or commas.'),
        command: keyword(script, 'Command that the service runs.'),
        variables: keyword(plainVariables, 'Variables that only the service gets.'),
      }),
      ({ alias, command, variables, ...rest }): PlanService => ({
        ...toImage(rest),
        ...(alias === undefined ? {} : { alias }),
        ...(command === undefined ? {} : { command }),
        ...(variables === undefined ? {} : { variables: toPlanVariables(variables) }),
      }),
    ),
  ),
  flattened,
)

/** One exit code or several. */
export const exitCodes = either(
  mapped(integer(), (code) => [code]),
  list(integer(), { min: 1 }),
)

/** A map that goes into a plan as it is: plain data in place of a `Map`. */
export function plainMap<T>(map: Shape<Map<string, T>>): Shape<Record<string, T>> {
  return mapped(map, (values) => {
    const plain: Record<string, T> = Object.create(null)
    for (const [key, value] of values) plain[key] = value
    return plain
  })
}

/** Values for the inputs of what is included or triggered, checked against its header later. */
export const inputValues = plainMap(entries(anything(), { nullable: true }))
