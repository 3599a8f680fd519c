"Reads `settings.ini`, the one place for metadata and requirements, for setuptools."
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

parser = ConfigParser(delimiters=["="])
parser.read(Path(__file__).parent / "settings.ini", encoding="utf-8")
cfg = parser["DEFAULT"]
lib, nbs = cfg["lib_path"], cfg["nbs_path"]
addresses = dict(Repository=cfg["git_url"], Documentation=cfg["doc_url"])

setup(
    description=cfg["description"],
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    keywords=cfg["keywords"],
    author=cfg["author"],
    license_expression=cfg["license"],
    python_requires=f">={cfg['min_python']}",
    project_urls={k: v for k, v in addresses.items() if v},
    install_requires=cfg["requirements"].split(),
    extras_require={k: cfg[f"{k}_requirements"].split() for k in ("course", "site", "hub", "dev")},
    # the lessons travel in the wheel as sgd_course/lessons, from where `sgd-course lab` copies them
    packages=[lib, f"{lib}.exercises", f"{lib}.lessons"],
    package_dir={f"{lib}.lessons": nbs},
    package_data={lib: ["*.npz", "*.js", "*.css", "benchmark.json", "MNIST-NOTICE.txt",
                        "TEACHING.md"],
                  f"{lib}.lessons": ["*.ipynb", "*.md"]},
)
