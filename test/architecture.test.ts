import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';

interface Cruise {
  readonly summary: {
    readonly totalCruised: number;
    readonly violations: readonly {
      readonly from: string;
      readonly to: string;
      readonly rule: { readonly name: string };
    }[];
  };
}

/** Runs the import rules over `src` of a project folder and reports what they found. */
function cruise(folder: string): Cruise['summary'] {
  const cli = path.resolve('node_modules/dependency-cruiser/bin/dependency-cruiser.mjs');
  const args = [cli, '--config', path.resolve('.dependency-cruiser.cjs'), '--output-type', 'json', 'src'];
  const run = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  return (JSON.parse(run.stdout) as Cruise).summary;
}

function sources(): readonly string[] {
  return readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => path.join('src', file));
}

/** Lines of the files for which `applies` holds that match `pattern`, comments left out. */
function linesMatching(pattern: RegExp, applies: (file: string) => boolean): readonly string[] {
  return sources()
    .filter(applies)
    .flatMap((file) =>
      readFileSync(file, 'utf8')
        .split('\n')
        .map((line, index) => ({ line, at: `${file}:${index + 1}` }))
        .filter(({ line }) => !/^\s*(\*|\/\/|\/\*)/.test(line) && pattern.test(line))
        .map(({ line, at }) => `${at} ${line.trim()}`),
    );
}

describe('import rules', () => {
  const summary = cruise('.');

  test('sees the modules', () => {
    expect(sources().length).toBeGreaterThan(50);
    expect(summary.totalCruised).toBeGreaterThanOrEqual(sources().length);
  });

  test('holds in every module', () => {
    expect(summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`)).toEqual([]);
  });
});

describe('the rules themselves', () => {
  test('find a forbidden import, also of a type only', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'subctl-rules-'));
    try {
      for (const name of ['net', 'host']) mkdirSync(path.join(folder, 'src', name), { recursive: true });
      writeFileSync(path.join(folder, 'tsconfig.json'), '{}');
      writeFileSync(path.join(folder, 'src/host/a.ts'), 'export type A = 1;\n');
      writeFileSync(
        path.join(folder, 'src/net/b.ts'),
        "import type { A } from '../host/a.ts';\nexport const b: A = 1;\n",
      );
      expect(cruise(folder).violations.map(({ rule }) => rule.name)).toEqual(['net-imports']);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('source rules', () => {
  test('pure folders neither wait nor look at clock, chance or environment', () => {
    const impure = /\basync\b|\bawait\b|Date\.now|new Date\(\)|Math\.random|randomBytes|process\.|console\./;
    expect(linesMatching(impure, (file) => /^src\/(net|api)\//.test(file))).toEqual([]);
  });

  test('the environment is read and the process left only in cli.ts, runtime/ and the mains', () => {
    const allowed = /^src\/(cli\.ts|runtime\/|[a-z]+\/main\.ts)/;
    expect(linesMatching(/process\.(env|exit)\b/, (file) => !allowed.test(file))).toEqual([]);
  });

  test('no file is a drawer', () => {
    expect(sources().filter((file) => /\/(utils?|helpers?|common|misc|manager)\.ts$/.test(file))).toEqual([]);
  });

  test('files are named in kebab-case and none is longer than 300 lines', () => {
    expect(sources().filter((file) => !/^[a-z0-9-]+\.ts$/.test(path.basename(file)))).toEqual([]);
    expect(sources().filter((file) => readFileSync(file, 'utf8').split('\n').length > 301)).toEqual([]);
  });
});
