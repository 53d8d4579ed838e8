-- One row: the different training pictures, and the generations, that could be on the map.
select
    (select count(*) from duplicates.pictures) as pictures,
    (select count(*) from catalog.generations) as generations
