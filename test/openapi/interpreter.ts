/**
 * Follows the handlers of the routes through their sources, without running them: all branches that may be taken, with
 * values as far as they are known. So what a handler reads and answers is known from the handler itself.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parseAst } from 'rolldown/parseAst'
import { called, compared, docBefore, entityIn, isAbsence, isThere, listMethod } from './operators.js'
import { Scope } from './scope.js'
import { any, either, itemsOf, literal, propertyOf, type Reads, textOf, truth, type Value, variants } from './values.js'

// biome-ignore lint/suspicious/noExplicitAny: nodes of a syntax tree, of some hundred kinds
export type Node = any

interface Module {
  file: string
  text: string
  scope: Scope
}

export interface World {
  /** What a name means that a module imports, or that is global; undefined: its source is followed. */
  imported(file: string, name: string): Value | undefined
  /** Entities, by the names of their types. */
  entities: ReadonlySet<string>
  made(className: string, args: Value[]): Value
  /** A method of parameters. */
  getter(reads: Reads, name: string): Value
}

/** Where the flow is: how many branches deep, and whether the last one is taken because something is absent. */
export interface Flow {
  depth: number
  absent: boolean
}

export class Interpreter {
  readonly flow: Flow = { depth: 0, absent: false }
  readonly #world: World
  readonly #modules = new Map<string, Module>()
  readonly #active = new Set<Node>()

  constructor(world: World) {
    this.#world = world
  }

  /** The value of a name at the top of a module. */
  exported(file: string, name: string): Value {
    return this.#module(file).scope.get(name) ?? any
  }

  /** The names that a module imports, with their modules. */
  importsOf(file: string): { name: string; from: string }[] {
    const { body } = parseAst(readFileSync(file, 'utf8'), { lang: 'ts' }, file) as Node
    return body
      .filter((node: Node) => node.type === 'ImportDeclaration' && node.importKind !== 'type')
      .flatMap((node: Node) =>
        node.specifiers.map((one: Node) => ({ name: one.imported?.name, from: resolved(file, node.source.value) })),
      )
  }

  #module(file: string): Module {
    let module = this.#modules.get(file)
    if (module) return module
    const text = readFileSync(file, 'utf8')
    module = { file, text, scope: new Scope() }
    this.#modules.set(file, module)
    const { body } = parseAst(text, { lang: 'ts' }, file) as Node
    for (const node of body) this.#declare(node, module)
    return module
  }

  #declare(node: Node, module: Module): void {
    const { scope } = module
    if (node.type === 'ExportNamedDeclaration' && node.declaration) this.#declare(node.declaration, module)
    else if (node.type === 'ImportDeclaration') {
      for (const one of node.specifiers) {
        const from = resolved(module.file, node.source.value)
        const name = one.imported?.name ?? 'default'
        scope.define(one.local.name, () => this.#world.imported(from, name) ?? this.exported(from, name))
      }
    } else if (node.type === 'FunctionDeclaration') {
      scope.define(node.id.name, () => this.#function(node, scope, module))
    } else if (node.type === 'VariableDeclaration') {
      for (const one of node.declarations) {
        if (one.id.type === 'Identifier') scope.define(one.id.name, () => this.#eval(one.init, scope, module))
      }
    }
  }

  #function(node: Node, scope: Scope, module: Module): Value {
    const about = docBefore(module.text, node.start)
    const call = (args: Value[]) => this.#call(node, args, scope, module)
    return { is: 'function', call, ...(about === undefined ? {} : { about }) }
  }

  #call(node: Node, args: Value[], above: Scope, module: Module): Value {
    if (this.#active.has(node) || node.generator) return any
    const scope = new Scope(above)
    node.params.forEach((pattern: Node, i: number) => {
      const rest = pattern.type === 'RestElement'
      this.#bind(
        rest ? pattern.argument : pattern,
        rest ? { is: 'list', items: args.slice(i) } : (args[i] ?? literal(undefined)),
        scope,
        module,
      )
    })
    const entity = entityIn(node.returnType?.typeAnnotation, this.#world.entities)
    this.#active.add(node)
    try {
      if (node.body.type !== 'BlockStatement') return entity ?? this.#eval(node.body, scope, module)
      const returned: Value[] = []
      this.#block(node.body.body, scope, module, returned)
      return entity ?? (returned.length === 0 ? literal(undefined) : either(returned))
    } finally {
      this.#active.delete(node)
    }
  }

  #bind(pattern: Node, value: Value, scope: Scope, module: Module): void {
    switch (pattern.type) {
      case 'Identifier':
        scope.names.set(pattern.name, value)
        return
      case 'AssignmentPattern': {
        const absent = value.is === 'literal' && value.value === undefined
        this.#bind(pattern.left, absent ? this.#eval(pattern.right, scope, module) : value, scope, module)
        return
      }
      case 'ObjectPattern':
        for (const one of pattern.properties) {
          if (one.type === 'RestElement') this.#bind(one.argument, any, scope, module)
          else this.#bind(one.value, propertyOf(value, one.key.name), scope, module)
        }
        return
      case 'ArrayPattern':
        pattern.elements.forEach((one: Node, i: number) => {
          if (one?.type === 'RestElement') this.#bind(one.argument, { is: 'many', of: itemsOf(value) }, scope, module)
          else if (one) this.#bind(one, propertyOf(value, String(i)), scope, module)
        })
    }
  }

  #block(body: Node[], above: Scope, module: Module, returned: Value[]): void {
    const scope = new Scope(above)
    for (const node of body) {
      if (node.type === 'FunctionDeclaration') scope.define(node.id.name, () => this.#function(node, scope, module))
    }
    for (const node of body) this.#run(node, scope, module, returned)
  }

  #run(node: Node, scope: Scope, module: Module, returned: Value[]): void {
    const run = (one: Node) => one && this.#run(one, scope, module, returned)
    const evaluate = (one: Node) => (one ? this.#eval(one, scope, module) : literal(undefined))
    switch (node.type) {
      case 'BlockStatement':
        this.#block(node.body, scope, module, returned)
        return
      case 'ExpressionStatement':
        evaluate(node.expression)
        return
      case 'ThrowStatement':
        evaluate(node.argument)
        return
      case 'ReturnStatement':
        returned.push(evaluate(node.argument))
        return
      case 'VariableDeclaration':
        for (const one of node.declarations) this.#bind(one.id, evaluate(one.init), scope, module)
        return
      case 'IfStatement': {
        const test = truth(evaluate(node.test))
        if (test !== false) this.#branch(test === undefined, isAbsence(node.test), () => run(node.consequent))
        if (test !== true) this.#branch(test === undefined, false, () => run(node.alternate))
        return
      }
      case 'ForOfStatement': {
        const over = evaluate(node.right)
        const items = over.is === 'list' ? over.items : [itemsOf(over)]
        for (const item of items) {
          const inner = new Scope(scope)
          this.#bind(node.left.declarations[0].id, item, inner, module)
          this.#branch(over.is !== 'list', false, () => this.#run(node.body, inner, module, returned))
        }
        return
      }
      case 'ForStatement':
      case 'WhileStatement':
        if (node.init) run(node.init)
        this.#branch(true, false, () => run(node.body))
        return
      case 'TryStatement':
        run(node.block)
        if (node.handler) this.#branch(true, false, () => run(node.handler.body))
        run(node.finalizer)
        return
      case 'SwitchStatement':
        evaluate(node.discriminant)
        for (const one of node.cases) this.#branch(true, false, () => one.consequent.forEach(run))
    }
  }

  #branch<T>(unsure: boolean, absent: boolean, body: () => T): T {
    const { flow } = this
    const before = { ...flow }
    if (unsure) Object.assign(flow, { depth: flow.depth + 1, absent })
    try {
      return body()
    } finally {
      Object.assign(flow, before)
    }
  }

  #eval(node: Node, scope: Scope, module: Module): Value {
    const evaluate = (one: Node) => this.#eval(one, scope, module)
    switch (node.type) {
      case 'Literal':
        return 'regex' in node ? any : literal(node.value)
      case 'Identifier':
        if (node.name === 'undefined') return literal(undefined)
        return scope.get(node.name) ?? this.#world.imported('', node.name) ?? any
      case 'TemplateLiteral': {
        const parts = node.expressions.map((one: Node) => textOf(evaluate(one)))
        if (parts.includes(undefined)) return any
        return literal(node.quasis.map((one: Node, i: number) => one.value.cooked + (parts[i] ?? '')).join(''))
      }
      case 'ArrayExpression':
        return this.#list(node.elements, scope, module)
      case 'ObjectExpression':
        return this.#object(node, scope, module)
      case 'ArrowFunctionExpression':
      case 'FunctionExpression':
        return this.#function(node, scope, module)
      case 'AwaitExpression':
      case 'UnaryExpression':
        return this.#unary(node, evaluate(node.argument))
      case 'TSAsExpression':
      case 'TSSatisfiesExpression':
      case 'TSNonNullExpression':
      case 'ChainExpression':
      case 'ParenthesizedExpression':
        return evaluate(node.expression)
      case 'LogicalExpression':
        return this.#logical(node, scope, module)
      case 'BinaryExpression':
        return compared(node.operator, evaluate(node.left), evaluate(node.right))
      case 'ConditionalExpression': {
        const test = truth(evaluate(node.test))
        const taken = [...(test === false ? [] : [node.consequent]), ...(test === true ? [] : [node.alternate])]
        return either(taken.map((one) => this.#branch(test === undefined, false, () => evaluate(one))))
      }
      case 'AssignmentExpression': {
        const value = evaluate(node.right)
        if (node.left.type === 'Identifier') scope.assign(node.left.name, value)
        return value
      }
      case 'MemberExpression':
        return this.#member(node, scope, module)
      case 'NewExpression':
        return this.#world.made(node.callee.name, node.arguments.map(evaluate))
      case 'CallExpression': {
        const args = this.#list(node.arguments, scope, module)
        const values = args.is === 'list' ? args.items : []
        return either(variants(this.#callee(node.callee, scope, module)).map((one) => called(one, values)))
      }
      default:
        return any
    }
  }

  #unary(node: Node, value: Value): Value {
    if (node.type === 'AwaitExpression') return value
    const known = truth(value)
    if (node.operator === '!') return known === undefined ? any : literal(!known)
    return node.operator === '-' && value.is === 'literal' ? literal(-Number(value.value)) : any
  }

  #logical(node: Node, scope: Scope, module: Module): Value {
    const left = this.#eval(node.left, scope, module)
    const test = node.operator === '??' ? isThere(left) : truth(left)
    const goesOn = node.operator === '&&' ? test !== false : test !== true
    if (!goesOn) return left
    const right = this.#branch(test === undefined, false, () => this.#eval(node.right, scope, module))
    if (test !== undefined) return right
    // `something || true` holds, whatever it is.
    if (node.operator === '||' && right.is === 'literal' && right.value === true) return right
    return either(node.operator === '&&' ? [literal(undefined), right] : [left, right])
  }

  #list(elements: Node[], scope: Scope, module: Module): Value {
    const items: Value[] = []
    for (const one of elements) {
      if (one?.type !== 'SpreadElement') items.push(one ? this.#eval(one, scope, module) : literal(undefined))
      else {
        const spread = this.#eval(one.argument, scope, module)
        items.push(...(spread.is === 'list' ? spread.items : [itemsOf(spread)]))
      }
    }
    return { is: 'list', items }
  }

  #object(node: Node, scope: Scope, module: Module): Value {
    const properties = new Map<string, Value>()
    const like: string[] = []
    let open = false
    for (const one of node.properties) {
      if (one.type === 'SpreadElement') {
        for (const spread of variants(this.#eval(one.argument, scope, module))) {
          if (spread.is === 'map') {
            for (const [key, value] of spread.properties) properties.set(key, value)
            like.push(...spread.like)
            open ||= spread.open === true
          } else if (spread.is === 'entity') like.push(spread.name)
          else if (spread.is !== 'literal') open = true
        }
        continue
      }
      const key = one.computed ? textOf(this.#eval(one.key, scope, module)) : (one.key.name ?? String(one.key.value))
      const value = this.#eval(one.value, scope, module)
      if (key === undefined) open = true
      else properties.set(key, value)
    }
    return { is: 'map', properties, like, ...(open ? { open } : {}) }
  }

  #member(node: Node, scope: Scope, module: Module): Value {
    const object = this.#eval(node.object, scope, module)
    if (!node.computed) return propertyOf(object, node.property.name)
    const key = this.#eval(node.property, scope, module)
    if (key.is === 'literal') return propertyOf(object, String(key.value))
    return object.is === 'list' || object.is === 'many' ? itemsOf(object) : any
  }

  /** What is called: a method of a list or of parameters, or a function. */
  #callee(node: Node, scope: Scope, module: Module): Value {
    if (node.type !== 'MemberExpression' || node.computed) return this.#eval(node, scope, module)
    const object = this.#eval(node.object, scope, module)
    const name = node.property.name as string
    const methods = variants(object).map((one): Value => {
      if (one.is === 'params') return this.#world.getter(one.reads, name)
      if (one.is === 'map' && one.properties.has(name)) return one.properties.get(name)!
      return listMethod(name, one)
    })
    return either(methods)
  }
}

function resolved(file: string, to: string): string {
  return to.startsWith('.') ? path.join(path.dirname(file), to).replace(/\.js$/, '.ts') : to
}
