/** The only place that loads the YAML library; daemons do not import it. */
import { parseAllDocuments, stringify, visit } from 'yaml';

/** Gives the value of one text in a document; `quoted` unless it stands there as a plain scalar. */
export type TextMapper = (text: string, quoted: boolean) => unknown;

/**
 * All documents of a YAML text as plain data, empty ones left out; each text goes through `mapText` first. Throws with line
 * and column when it is not YAML.
 */
export function parseYamlDocuments(text: string, mapText?: TextMapper): readonly unknown[] {
  const values: unknown[] = [];
  for (const document of parseAllDocuments(text)) {
    const [error] = document.errors;
    if (error !== undefined) throw error;
    if (mapText !== undefined) {
      visit(document, {
        Scalar: (_key, node) => {
          if (typeof node.value === 'string') node.value = mapText(node.value, node.type !== 'PLAIN');
        },
      });
    }
    const value: unknown = document.toJS();
    if (value !== null && value !== undefined) values.push(value);
  }
  return values;
}

/** YAML as kubectl prints it: no anchors, no line folding. */
export function renderYaml(value: unknown): string {
  return stringify(value, { aliasDuplicateObjects: false, lineWidth: 0 });
}
