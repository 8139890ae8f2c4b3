"""What was found, what was wanted, and whether it holds."""
import statistics


def spread(values, form="{:.0f}"):
    """Median, least and most."""
    return f"{form.format(statistics.median(values))} ({form.format(min(values))}–{form.format(max(values))})"


class Table:
    def __init__(self):
        self.rows, self.below = [], []

    def add(self, what, found, wanted="", holds=None):
        self.rows.append((what, found, wanted, {True: "yes", False: "**no**", None: ""}[holds]))
        print(f"  {what}: {found}", flush=True)

    def at_most(self, what, value, limit, form="{:.2f} ×", found=None):
        self.add(what, found or form.format(value), "at most " + form.format(limit), value <= limit)

    def at_least(self, what, value, limit, form="{:.2f} ×", found=None):
        self.add(what, found or form.format(value), "at least " + form.format(limit), value >= limit)

    def note(self, text):
        self.below.append(text)

    def show(self):
        print("\n| what | found | wanted | holds |\n|---|---|---|---|")
        for row in self.rows:
            print("| " + " | ".join(row) + " |")
        for text in self.below:
            print("\n" + text)
