// A box of named texts: the browser's storage, or memory where that is forbidden, full or emptied. It never throws.

export function makeBox(kind) {
  const memory = {};
  // Even to name the storage throws where a page may have none.
  const real = (work) => {
    try { return work(window[kind]); } catch { /* memory has it */ }
  };
  return {
    // Set where nothing more may be written to the visitor's device.
    closed: false,
    get: (name) => memory[name] ?? real((storage) => storage.getItem(name)),
    set(name, text, open = !this.closed) {
      memory[name] = text;
      if (open && real((storage) => (storage.setItem(name, text), true))) delete memory[name];
    },
    drop(name) {
      delete memory[name];
      real((storage) => storage.removeItem(name));
    },
    // Whether it outlives the page.
    keeps: (name) => !(name in memory),
    names: () => Object.keys({ ...memory, ...real((storage) => ({ ...storage })) }),
    json(name) {
      try { return JSON.parse(this.get(name)) || {}; } catch { return {}; }
    },
  };
}
