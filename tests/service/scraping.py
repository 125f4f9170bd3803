"""Reads a service's /metrics as Prometheus does."""

from collections import Counter
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True)
class Scrape:
    """All samples of one scrape of /metrics."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]

    def value(self, name: str, **labels: str) -> float:
        """The value of one series; 0 for one that does not exist, as in a rate."""
        return self.samples.get((name, frozenset(labels.items())), 0.0)

    def total(self, name: str) -> float:
        """The sum over all series of that name."""
        return sum(value for (sample, _), value in self.samples.items() if sample == name)

    def by(self, name: str, label: str) -> Counter[str]:
        """The sums over the series of that name, by the values of a label."""
        sums: Counter[str] = Counter()
        for (sample, labels), value in self.samples.items():
            if sample == name:
                sums[dict(labels)[label]] += int(value)
        return sums

    def label_values(self, name: str, label: str) -> set[str]:
        """The values that a label takes in the series of that name."""
        return {dict(labels)[label] for (sample, labels) in self.samples if sample == name}


def scrape(client: httpx.Client) -> Scrape:
    """Scrape /metrics once."""
    response = client.get("/metrics")
    assert response.status_code == 200
    return scraped(response.text)


def scraped(text: str) -> Scrape:
    """Parse the text of /metrics."""
    return Scrape(
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    )
