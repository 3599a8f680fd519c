"Reads `settings.ini`, the one place for metadata and requirements, for setuptools."
import json
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

parser = ConfigParser(delimiters=["="])
parser.read(Path(__file__).parent / "settings.ini", encoding="utf-8")
cfg = parser["DEFAULT"]
lib, nbs = cfg["lib_path"], cfg["nbs_path"]
addresses = dict(Repository=cfg["git_url"], Documentation=cfg["doc_url"])


class BuildPy(build_py):
    "The lessons of the wheel have no outputs, which `sgd-course lab` would not give a learner anyway."

    def run(self):
        super().run()
        if self.editable_mode:  # then they are those of the repository
            return
        for f in Path(self.build_lib, lib, "lessons").glob("*.ipynb"):
            book = json.loads(f.read_text(encoding="utf-8"))
            for cell in book["cells"]:
                if cell["cell_type"] == "code":
                    cell.update(outputs=[], execution_count=None)
            f.write_text(json.dumps(book, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


setup(
    cmdclass={"build_py": BuildPy},
    description=cfg["description"],
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    keywords=cfg["keywords"],
    author=cfg["author"],
    license_expression=cfg["license"],
    python_requires=f">={cfg['min_python']}",
    project_urls={k: v for k, v in addresses.items() if v},
    install_requires=cfg["requirements"].split(),
    extras_require={k: cfg[f"{k}_requirements"].split() for k in ("course", "dev")},
    # the lessons travel in the wheel as sgd_course/lessons, from where `sgd-course lab` copies them
    packages=[lib, f"{lib}.exercises", f"{lib}.lessons"],
    package_dir={f"{lib}.lessons": nbs},
    package_data={lib: ["*.npz", "*.js", "*.css", "ladder.json", "MNIST-NOTICE.txt",
                        "TEACHING.md"],
                  f"{lib}.lessons": ["*.ipynb", "*.md"]},
)
