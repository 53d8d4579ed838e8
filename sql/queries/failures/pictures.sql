-- One sentence for each of the 20 most frequent reasons why a training picture failed.
select format('{} pictures failed, such as {}: {}', rows, example_member, failure)
from fingerprints.failures order by rows desc limit 20
