import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';

/** What the sources say, read from their syntax: nothing need be exported, and types need not exist at run time. */

const parsed = new Map<string, ts.SourceFile>();

/** The syntax of a source file; `path` from the root of the project. */
function sourceOf(path: string): ts.SourceFile {
  let source = parsed.get(path);
  if (source === undefined) {
    source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
    parsed.set(path, source);
  }
  return source;
}

/**
 * The constants of a file (in capitals, at the top level) whose value is a number, a text, a list of texts or an object
 * of numbers; those of objects come as NAME.KEY. Times are in milliseconds.
 */
export function constantsOf(path: string): Map<string, unknown> {
  const constants = new Map<string, unknown>();
  for (const [name, initializer] of declarationsOf(path)) {
    if (!/^[A-Z][A-Z0-9_]*$/.test(name)) continue;
    const value = valueOf(initializer, path);
    if (value instanceof Map) for (const [key, each] of value) constants.set(`${name}.${key}`, each);
    else if (value !== undefined) constants.set(name, value);
  }
  return constants;
}

/** The literals that a union type names itself; not those of types that it refers to. */
export function literalsOf(path: string, typeName: string): string[] {
  const literals: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isLiteralTypeNode(node) && ts.isStringLiteral(node.literal)) literals.push(node.literal.text);
    // What Exclude takes away is none of the union's.
    else if (!(ts.isTypeReferenceNode(node) && node.typeName.getText() === 'Exclude'))
      node.forEachChild(visit);
  };
  sourceOf(path).forEachChild((node) => {
    if (ts.isTypeAliasDeclaration(node) && node.name.text === typeName) visit(node.type);
  });
  return literals;
}

/** The values of `property: 'text'` and the first arguments of calls of `functions` that are texts. */
export function wordsOf(path: string, property: string, functions: readonly string[]): string[] {
  const words: string[] = [];
  walk(sourceOf(path), (node) => {
    if (ts.isPropertyAssignment(node) && node.name.getText() === property)
      words.push(...textsOf(node.initializer));
    if (!ts.isCallExpression(node) || !functions.includes(node.expression.getText())) return;
    if (node.arguments[0] !== undefined) words.push(...textsOf(node.arguments[0]));
  });
  return words;
}

/** The texts with a blank in them that are neither thrown, logged nor hashed; "…" stands for what is put in. */
export function sentencesOf(path: string): string[] {
  const sentences: string[] = [];
  walk(sourceOf(path), (node) => {
    if (!isForNobody(node)) sentences.push(...textsOf(node).filter((text) => text.includes(' ')));
  });
  return sentences;
}

function declarationsOf(path: string): [string, ts.Expression][] {
  return sourceOf(path)
    .statements.filter(ts.isVariableStatement)
    .flatMap((statement) =>
      statement.declarationList.declarations.flatMap(({ name, initializer }): [string, ts.Expression][] =>
        ts.isIdentifier(name) && initializer !== undefined ? [[name.text, initializer]] : [],
      ),
    );
}

function valueOf(node: ts.Expression, path: string): unknown {
  if (ts.isNumericLiteral(node)) return Number(node.text);
  if (ts.isStringLiteral(node)) return node.text;
  if (ts.isParenthesizedExpression(node) || ts.isAsExpression(node)) return valueOf(node.expression, path);
  if (ts.isIdentifier(node)) return resolve(node.text, path);
  if (ts.isBinaryExpression(node)) return calculate(node, path);
  if (ts.isCallExpression(node)) {
    return node.expression.getText() === 'utf8' ? valueOf(node.arguments[0]!, path) : undefined;
  }
  if (ts.isArrayLiteralExpression(node))
    return allOrNothing(node.elements.map((each) => valueOf(each, path)));
  return ts.isObjectLiteralExpression(node) ? objectOf(node, path) : undefined;
}

function calculate({ left, operatorToken, right }: ts.BinaryExpression, path: string): number | undefined {
  const [a, b] = [valueOf(left, path), valueOf(right, path)];
  if (typeof a !== 'number' || typeof b !== 'number') return undefined;
  switch (operatorToken.getText()) {
    case '*':
      return a * b;
    case '/':
      return a / b;
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '**':
      return a ** b;
    default:
      return undefined;
  }
}

/** A constant of this file or of the one that it is imported from. */
function resolve(name: string, path: string): unknown {
  const own = declarationsOf(path).find(([each]) => each === name);
  if (own !== undefined) return valueOf(own[1], path);
  for (const statement of sourceOf(path).statements.filter(ts.isImportDeclaration)) {
    const bindings = statement.importClause?.namedBindings;
    if (bindings === undefined || !ts.isNamedImports(bindings)) continue;
    if (!bindings.elements.some((element) => element.name.text === name)) continue;
    return resolve(name, join(dirname(path), (statement.moduleSpecifier as ts.StringLiteral).text));
  }
  return undefined;
}

/** Of numbers and products of them only: what merely refers to other constants repeats them. */
function objectOf(node: ts.ObjectLiteralExpression, path: string): Map<string, unknown> | undefined {
  const properties = node.properties.filter(ts.isPropertyAssignment);
  const isOwn = ({ initializer: value }: ts.PropertyAssignment): boolean =>
    ts.isNumericLiteral(value) || (ts.isBinaryExpression(value) && calculate(value, path) !== undefined);
  if (!properties.every(isOwn)) return undefined;
  return new Map(
    properties.map(({ name, initializer }) => [
      ts.isStringLiteral(name) ? name.text : name.getText(),
      valueOf(initializer, path),
    ]),
  );
}

function allOrNothing(values: readonly unknown[]): readonly unknown[] | undefined {
  return values.every((value) => typeof value === 'string') ? values : undefined;
}

/** The texts that an expression may be: of a literal, a template or a choice between such. */
function textsOf(node: ts.Node): string[] {
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return [node.text];
  if (ts.isTemplateExpression(node)) {
    return [node.head.text + node.templateSpans.map(({ literal }) => `…${literal.text}`).join('')];
  }
  if (ts.isConditionalExpression(node)) return [...textsOf(node.whenTrue), ...textsOf(node.whenFalse)];
  return [];
}

function isForNobody(node: ts.Node): boolean {
  for (let at = node; at.parent !== undefined; at = at.parent) {
    const { parent } = at;
    if (ts.isThrowStatement(parent) || ts.isImportDeclaration(parent)) return true;
    if (ts.isConditionalExpression(parent)) return true; // taken with the choice
    if (ts.isPropertyAssignment(parent) && parent.name.getText() === 'message') return true;
    if (ts.isCallExpression(parent) && ['utf8', 'this.#log'].includes(parent.expression.getText()))
      return true;
  }
  return false;
}

function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  node.forEachChild((child) => walk(child, visit));
}
