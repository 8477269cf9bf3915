import { execFileSync } from 'node:child_process';

/** What the kernel under the tests has; drivers are to use it, and to do without what it lacks. */
export interface KernelFacts {
  readonly esp: boolean;
  readonly wireguard: boolean;
}

let known: KernelFacts | undefined;

/** Looks once, in a network namespace of its own, and not in the way the drivers look. */
export function kernelFacts(): KernelFacts {
  known ??= look();
  return known;
}

function look(): KernelFacts {
  const namespace = `t-${Math.random().toString(36).slice(2, 8)}-facts`;
  const succeeds = (...args: readonly string[]): boolean => {
    try {
      execFileSync('ip', ['-n', namespace, ...args], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  execFileSync('ip', ['netns', 'add', namespace]);
  try {
    const ends = ['src', '192.0.2.8', 'dst', '192.0.2.9', 'proto', 'esp', 'spi', '0x1001', 'mode', 'tunnel'];
    const sa = ['xfrm', 'state', 'add', ...ends, 'aead', 'rfc4106(gcm(aes))', `0x${'11'.repeat(36)}`, '128'];
    const esp = succeeds(...sa) && succeeds('link', 'add', 'look0', 'type', 'xfrm', 'if_id', '7');
    return { esp, wireguard: succeeds('link', 'add', 'look1', 'type', 'wireguard') };
  } finally {
    execFileSync('ip', ['netns', 'del', namespace]);
  }
}
