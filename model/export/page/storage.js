// What survives a reload, where the browser allows it.

/**
 * Values as JSON under names of this page. Some browsers refuse storage to files, and every browser has a limit: then
 * `write` returns false and the page works without.
 */
class Storage {
  constructor(prefix) {
    this.prefix = prefix;
    this.place = null;
    for (const name of ["localStorage", "sessionStorage"]) {
      try { // even to look at it may throw
        window[name].setItem(prefix, "");
        window[name].removeItem(prefix);
        this.place = window[name];
        break;
      } catch {
        continue;
      }
    }
  }

  /** The value of a name; null if there is none, or none that can be read. */
  read(name) {
    try {
      return JSON.parse(this.place.getItem(this.prefix + name));
    } catch {
      return null;
    }
  }

  write(name, value) {
    try {
      this.place.setItem(this.prefix + name, JSON.stringify(value));
      return true;
    } catch {
      return false;
    }
  }
}
