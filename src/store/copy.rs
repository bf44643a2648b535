//! Tables from one database into another, whatever they are made of; both may be SQLite or PostgreSQL.

use futures_util::TryStreamExt;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Row, any::AnyRow};

/// Values in one statement at the most.
const VALUES: usize = 2000;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Integer,
    Real,
    Text,
    Blob,
}

impl Kind {
    /// By the type that the table was made with.
    fn of(declared: &str) -> Option<Kind> {
        let declared = declared.to_ascii_uppercase();
        let is = |words: &[&str]| words.iter().any(|word| declared.contains(word));
        match () {
            () if is(&["INT"]) => Some(Kind::Integer),
            () if is(&["TEXT", "CHAR"]) => Some(Kind::Text),
            () if is(&["REAL", "DOUBLE", "FLOAT"]) => Some(Kind::Real),
            () if is(&["BLOB", "BYTEA"]) => Some(Kind::Blob),
            () => None,
        }
    }
}

/// A table, as an SQLite database describes it.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    columns: Vec<(String, Kind)>,
}

/// All tables of an SQLite database, but not the one that counts its versions.
pub async fn tables(of: &mut AnyConnection) -> Result<Vec<Table>, sqlx::Error> {
    let text = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
                AND name <> 'schema_version' ORDER BY name";
    let mut tables = Vec::new();
    for row in sqlx::query(text).fetch_all(&mut *of).await? {
        let name: String = row.try_get(0)?;
        let text = "SELECT name, type FROM pragma_table_info($1)";
        let mut columns = Vec::new();
        for row in sqlx::query(text).bind(name.as_str()).fetch_all(&mut *of).await? {
            let (column, declared): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let kind = Kind::of(&declared).ok_or_else(|| {
                sqlx::Error::Protocol(format!("{name}.{column} is of a kind that cannot be copied: {declared}"))
            })?;
            columns.push((column, kind));
        }
        tables.push(Table { name, columns });
    }
    Ok(tables)
}

impl Table {
    /// Has it any rows?
    pub async fn is_empty(&self, of: &mut AnyConnection) -> Result<bool, sqlx::Error> {
        let text = format!("SELECT 1 FROM {} LIMIT 1", self.name);
        Ok(sqlx::query(AssertSqlSafe(text)).fetch_optional(of).await?.is_none())
    }

    /// Take all rows away.
    pub async fn clear(&self, of: &mut AnyConnection) -> Result<(), sqlx::Error> {
        sqlx::query(AssertSqlSafe(format!("DELETE FROM {}", self.name))).execute(of).await.map(drop)
    }

    /// Add all rows of the one to the other. Gives how many there were.
    pub async fn copy(&self, from: &mut AnyConnection, to: &mut AnyConnection) -> Result<u64, sqlx::Error> {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(", ");
        let mut rows = sqlx::query(AssertSqlSafe(format!("SELECT {names} FROM {}", self.name))).fetch(from);
        let (most, mut some, mut count) = (VALUES / self.columns.len().max(1), Vec::new(), 0);
        while let Some(row) = rows.try_next().await? {
            some.push(row);
            count += 1;
            if some.len() >= most {
                self.put(&names, &some, to).await?;
                some.clear();
            }
        }
        if !some.is_empty() {
            self.put(&names, &some, to).await?;
        }
        Ok(count)
    }

    async fn put(&self, names: &str, rows: &[AnyRow], to: &mut AnyConnection) -> Result<(), sqlx::Error> {
        let width = self.columns.len();
        let group = |row: usize| {
            let marks: Vec<String> = (1..=width).map(|column| format!("${}", row * width + column)).collect();
            format!("({})", marks.join(", "))
        };
        let groups: Vec<String> = (0..rows.len()).map(group).collect();
        let text = format!("INSERT INTO {} ({names}) VALUES {}", self.name, groups.join(", "));
        let mut query = sqlx::query::<Any>(AssertSqlSafe(text));
        for row in rows {
            for (at, (_, kind)) in self.columns.iter().enumerate() {
                query = match kind {
                    Kind::Integer => query.bind(row.try_get::<Option<i64>, _>(at)?),
                    Kind::Real => query.bind(row.try_get::<Option<f64>, _>(at)?),
                    Kind::Text => query.bind(row.try_get::<Option<String>, _>(at)?),
                    Kind::Blob => query.bind(row.try_get::<Option<Vec<u8>>, _>(at)?),
                };
            }
        }
        query.execute(to).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_known_by_the_types_that_tables_are_made_with() {
        assert_eq!(Kind::of("BIGINT"), Some(Kind::Integer));
        assert_eq!(Kind::of("text"), Some(Kind::Text));
        assert_eq!(Kind::of("DOUBLE PRECISION"), Some(Kind::Real));
        assert_eq!(Kind::of("BYTEA"), Some(Kind::Blob));
        assert_eq!(Kind::of("POLYGON"), None);
    }
}
