"""Results as a picture: CPU time of each loss as a multiple of the bound, on a logarithmic axis."""


def draw(results, path):
    """One panel a shape."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(results), figsize=(4 * len(results), 3.4), sharey=True, squeeze=False)
    names = list(dict.fromkeys(name for found in results for name in found["losses"]))[::-1]
    for axis, found in zip(axes[0], results, strict=True):
        for row, name in enumerate(names):
            entry = found["losses"].get(name)
            if entry is None:
                continue
            multiple = entry["cpu_s"] / found["bound_cpu_s"]
            axis.barh(row, multiple, color="#1b6ca8" if name == "dicewise" else "#b9c4cc")
            axis.text(multiple * 1.08, row, f"{multiple:.1f}", va="center", fontsize=8)
        axis.set_xscale("log")
        axis.set_xlim(1, 1.6 * axis.get_xlim()[1])
        axis.set_yticks(range(len(names)), names, fontsize=8)
        axis.set_title(str(found["shape"]), fontsize=9)
        axis.set_xlabel("CPU time, × memory-bandwidth bound", fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
